/**
 * Unprivileged: starts a program without root's right to read everything, with which tests often run.
 */
import { spawnSync } from 'node:child_process';
import type { Launch } from './real-cluster.js';
import { MAIN } from './real-cluster.js';

/** `nobody`, as most systems number it. */
const NOBODY = 65_534;

/**
 * As another user, if that user can read this program where it lies; else as root without the rights that override
 * modes; and as the current user when that is not root.
 */
export function unprivileged(): Launch {
  if (process.getuid?.() !== 0) return {};
  const asNobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
  const { status } = spawnSync('setpriv', [...asNobody.slice(1), process.execPath, MAIN, '--version'], {
    timeout: 30_000,
  });
  if (status === 0) return { by: asNobody, owner: NOBODY };
  const rights = '-dac_override,-dac_read_search';
  return { by: ['setpriv', `--inh-caps=${rights}`, `--bounding-set=${rights}`] };
}
