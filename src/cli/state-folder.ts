/**
 * State folder: where this host keeps its identity and its part of the cluster, and so which service a command talks to.
 *
 * `--state DIR`, then `$CLUSTER_STATE`, then the first that exists of the system's and the user's own place. What is said
 * explicitly is taken as it is, for a typo must not lead to another cluster.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { controlForbidden } from '../daemon/control-wire.js';

export interface StatePlaces {
  /** `--state`. */
  readonly option?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
}

const SYSTEM_FOLDER = '/var/lib/scatterhoard';

/** The state folder, which exists. @throws ClusterError NO_STATE_FOLDER, CONTROL_FORBIDDEN */
export function findStateFolder(places: StatePlaces): string {
  const said = saidFolder(places);
  const candidates = said === undefined ? usualFolders(places.environment) : [said];
  const found = candidates.find(isFolder);
  if (found !== undefined) return found;
  throw new ClusterError(
    'NO_STATE_FOLDER',
    `no cluster here: there is no folder ${candidates.join(' nor ')}. Found a cluster with 'cluster init --name NAME', ` +
      "enter one with 'cluster join TOKEN', or say where the state is (--state DIR or $CLUSTER_STATE).",
    { blame: 'operator' },
  );
}

/** Where `init` and `join` put a new state folder; it may exist already. @throws ClusterError CONTROL_FORBIDDEN */
export function newStateFolder(places: StatePlaces): string {
  const said = saidFolder(places);
  const folders = said === undefined ? usualFolders(places.environment) : [said];
  return folders.find(isFolder) ?? said ?? (places.isRoot ? SYSTEM_FOLDER : folders.at(-1)) ?? SYSTEM_FOLDER;
}

function saidFolder({ option, environment }: StatePlaces): string | undefined {
  const said = option ?? (environment.CLUSTER_STATE || undefined);
  return said === undefined ? undefined : resolve(said);
}

function usualFolders(environment: StatePlaces['environment']): readonly string[] {
  const own = environment.XDG_STATE_HOME;
  // The XDG specification says to ignore a relative path.
  const base = own !== undefined && isAbsolute(own) ? own : join(homedir(), '.local/state');
  return [SYSTEM_FOLDER, join(base, 'scatterhoard')];
}

/** @throws ClusterError CONTROL_FORBIDDEN: what is in it, or whether it is there, is not for this user to know */
function isFolder(path: string): boolean {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
    // Nothing can be found in a folder that is closed to us, which is not the same as being empty.
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    throw error instanceof Error && 'code' in error && error.code === 'EACCES' ? controlForbidden(path, error) : error;
  }
}
