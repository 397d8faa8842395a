/**
 * Unentered: reports what lies below a source on other file systems, and so is in no snapshot: disks that are mounted
 * there, Btrfs subvolumes and ZFS data sets. Most people who name a folder mean everything in it, so this stays an
 * alarm until the policy says what is meant.
 */
import type { Unentered } from '../catalog/merge-scan.js';
import { escapePath } from '../catalog/path-text.js';
import type { SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';

export const UNENTERED = 'MOUNTS_NOT_ENTERED';
/** Enough paths to know which are meant. */
const NAMED_MAX = 3;

/** Called after each run. */
export function tellUnentered(
  alarms: Pick<Alarms, 'raise' | 'clear'>,
  source: SourceId,
  { name, unentered }: { readonly name: string; readonly unentered: Unentered },
): void {
  const { count, paths } = unentered;
  if (count === 0) {
    alarms.clear(UNENTERED, source);
    return;
  }
  const named = paths.slice(0, NAMED_MAX).map(escapePath);
  const more = count > named.length ? ` and ${count - named.length} more` : '';
  alarms.raise(
    UNENTERED,
    source,
    `source ${name}: these lie on other file systems and are not backed up: ${named.join(', ')}${more}. Back them up with the source by \`crossMounts: true\`, or each as a source of its own; \`exclude\` those that are not to be backed up here, which ends this alarm`,
  );
}
