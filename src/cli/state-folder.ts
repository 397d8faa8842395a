/**
 * State folder: where this host keeps its identity and its part of the cluster, and so which service commands talk to.
 *
 * `--state DIR`, then `$CLUSTER_STATE`, then the first that exists of the system's and the user's own place. A folder
 * that is given explicitly is used as it is, because a typo must not lead to another cluster.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { controlForbidden } from '../daemon/control-wire.js';
import { mustOwnState, SYSTEM_STATE_FOLDER, type WritingCommand } from '../daemon/state-owner.js';

export interface StatePlaces {
  /** `--state`. */
  readonly option?: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
}

/** The state folder, which exists. @throws ClusterError NO_STATE_FOLDER, CONTROL_FORBIDDEN */
export function findStateFolder(places: StatePlaces): string {
  return foundFolder(places, isFolder);
}

/** The same for a command that writes there. @throws ClusterError NO_STATE_FOLDER, STATE_OF_ANOTHER_USER */
export function ownStateFolder(places: StatePlaces, command: WritingCommand): string {
  return foundFolder(places, path => isFolder(path, command));
}

function foundFolder(places: StatePlaces, isThere: (path: string) => boolean): string {
  const candidates = stateCandidates(places);
  const found = candidates.find(path => isThere(path));
  if (found !== undefined) return found;
  throw new ClusterError(
    'NO_STATE_FOLDER',
    `no cluster here: there is no folder ${candidates.join(' or ')}. Create a cluster with 'cluster init --name NAME', ` +
      "join one with 'cluster join TOKEN', or say where the state is (--state DIR or $CLUSTER_STATE).",
    { blame: 'operator' },
  );
}

/** Where `init` and `join` put a new state folder; it may exist already. @throws ClusterError STATE_OF_ANOTHER_USER */
export function newStateFolder(places: StatePlaces, command: WritingCommand): string {
  const folders = stateCandidates(places);
  return (
    folders.find(path => isFolder(path, command)) ??
    saidFolder(places) ??
    (places.isRoot ? SYSTEM_STATE_FOLDER : folders.at(-1)) ??
    SYSTEM_STATE_FOLDER
  );
}

/** Who said where the state folder is. */
export type StateSaid = '--state' | '$CLUSTER_STATE' | 'nobody';

export function stateSaid({ option, environment }: StatePlaces): StateSaid {
  if (option !== undefined) return '--state';
  return environment.CLUSTER_STATE === undefined ? 'nobody' : '$CLUSTER_STATE';
}

/** @throws ClusterError BAD_ARGUMENT: an empty name, as of a variable that is not set, would be the current folder. */
function saidFolder(places: StatePlaces): string | undefined {
  const said = places.option ?? places.environment.CLUSTER_STATE;
  if (said !== '') return said === undefined ? undefined : resolve(said);
  throw new ClusterError(
    'BAD_ARGUMENT',
    `${stateSaid(places)} is empty: expected the path of a state folder. Nothing was done`,
    { blame: 'operator' },
  );
}

/** Where the state folder may be; the first that exists is it. */
export function stateCandidates(places: StatePlaces): readonly string[] {
  const said = saidFolder(places);
  return said === undefined ? usualFolders(places.environment) : [said];
}

function usualFolders(environment: StatePlaces['environment']): readonly string[] {
  const own = environment.XDG_STATE_HOME;
  // The XDG specification says to ignore a relative path.
  const base = own !== undefined && isAbsolute(own) ? own : join(homedir(), '.local/state');
  return [SYSTEM_STATE_FOLDER, join(base, 'scatterhoard')];
}

/**
 * @param command that writes in it
 * @throws ClusterError CONTROL_FORBIDDEN: this user may not look into it, or may not even know whether it exists;
 *   STATE_OF_ANOTHER_USER
 */
function isFolder(path: string, command?: WritingCommand): boolean {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
    if (command !== undefined) mustOwnState(path, command);
    // A folder that this user may not enter shows nothing, which is not the same as being empty.
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    throw error instanceof Error && 'code' in error && error.code === 'EACCES' ? controlForbidden(path, error) : error;
  }
}
