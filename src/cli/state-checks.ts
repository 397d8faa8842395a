/**
 * State checks: what the doctor looks at in this host's state folder, apart from the cluster: whose it is, its room,
 * the service that works there, and the key.
 */
import { lstatSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CONTROL_PATH_BYTES_MAX, CONTROL_SOCKET_NAME } from '../daemon/control-wire.js';
import type { StatusReport } from '../daemon/service.js';
import { OTHERS } from '../membership/identity.js';
import { systemCode } from '../store/own-folder.js';
import { type Check, failed, ok, warning } from './check.js';
import { LOOK_MS_MAX } from './look.js';
import type { StateSaid } from './state-folder.js';
import { shellWord, sizeText } from './text.js';

// ── The folder ──

export interface StateFolderFacts {
  readonly path: string;
  readonly saidBy: StateSaid;
  /** The user to whom it belongs, by name. */
  readonly owner: string;
  /** Permission bits. */
  readonly mode: number;
  /** Names in it that belong to another user. */
  readonly foreign: readonly { readonly name: string; readonly owner: string }[];
}

/** Rights of others to write. */
const OTHERS_WRITE = 0o022;

export function decideStateFolder({ path, saidBy, owner, mode, foreign }: StateFolderFacts): Check {
  const why = saidBy === 'nobody' ? 'the first of the usual places that is there' : `as ${saidBy} says`;
  const what = `${path} (${why}), of ${owner}`;
  const shown = (mode & 0o777).toString(8);
  if ((mode & OTHERS_WRITE) !== 0)
    return failed(
      'state-folder',
      `${what}: others may write there (mode ${shown}), and so put another key in its place: chmod 700 ${shellWord(path)}`,
    );
  const [first] = foreign;
  if (first !== undefined) {
    const names = foreign.map(({ name }) => name).join(', ');
    // Not all of the folder: hooks may be root's.
    const paths = foreign.map(({ name }) => shellWord(join(path, name))).join(' ');
    return failed(
      'state-folder',
      `${what}: ${names} in it ${foreign.length === 1 ? 'belongs' : 'belong'} to ${first.owner}, and the service may not be able to use that: chown -R ${owner} ${paths}`,
    );
  }
  if (isExposed(mode))
    return warning('state-folder', `${what}: others may look into it (mode ${shown}): chmod 700 ${shellWord(path)}`);
  return ok('state-folder', what);
}

export interface RoomFacts {
  /** What its disk has left for the user to whom it belongs. */
  readonly freeBytes: number;
  /** Files and folders that may still be made. Undefined: this file system has no such limit. */
  readonly freeFiles: number | undefined;
}

/** By the goals of the bench the catalog and the index of a million files take 450 MB; a scan writes its records beside the old ones. */
export const STATE_ROOM_WANTED_BYTES = 500_000_000;

export function decideStateRoom({ freeBytes, freeFiles }: RoomFacts): Check {
  const remedy = 'Make room on that disk: while it is full no snapshot is taken, and no copy';
  if (freeBytes === 0 || freeFiles === 0)
    return failed('state-room', `its disk is full${freeBytes === 0 ? '' : ' (no inodes are left)'}. ${remedy}`);
  const what = `${sizeText(freeBytes)} are free on its disk`;
  if (freeBytes < STATE_ROOM_WANTED_BYTES) return warning('state-room', `only ${what}. ${remedy}`);
  return ok('state-room', what);
}

// ── The service ──

/** @param path of the control socket */
export function decideSocket(path: string): Check {
  const bytes = Buffer.byteLength(path);
  if (bytes > CONTROL_PATH_BYTES_MAX)
    return failed(
      'socket',
      `the path of the control socket has ${bytes} bytes, and sockets allow ${CONTROL_PATH_BYTES_MAX}: no service can run there. Move the state folder to a shorter path`,
    );
  return ok('socket', `the path of the control socket has ${bytes} of ${CONTROL_PATH_BYTES_MAX} bytes`);
}

export type ServiceAnswer =
  | { readonly kind: 'status'; readonly status: StatusReport }
  | { readonly kind: 'late' }
  /** A refusal, or nobody is there: the client's own error. */
  | { readonly kind: 'none'; readonly code: string; readonly message: string };

export interface ServiceFacts {
  readonly answer: ServiceAnswer;
  /** The process that holds the state folder. Undefined: none does, or this user cannot tell. */
  readonly pid: number | undefined;
}

export function decideService({ answer, pid }: ServiceFacts): Check {
  const which = pid === undefined ? '' : ` (process ${pid})`;
  switch (answer.kind) {
    case 'status':
      return ok('service', `it runs${which}, and answers`);
    case 'late':
      return failed(
        'service',
        `it runs${which}, and has not answered for ${LOOK_MS_MAX / 1000} s: look at its log, and at the disk of the state folder`,
      );
    case 'none': {
      const isWanted = answer.code === 'SERVICE_NOT_RUNNING';
      // It says by itself that the service starts or ends.
      if (isWanted && pid !== undefined) return warning('service', answer.message);
      if (isWanted)
        return failed(
          'service',
          `${answer.message} Until then nothing here is backed up, no copy is given, and nobody here hears of alarms and of the other members`,
        );
      return (answer.code === 'CONTROL_FORBIDDEN' ? warning : failed)('service', answer.message);
    }
  }
}

// ── The key ──

export interface KeyFacts {
  readonly path: string;
  /** Permission bits. Undefined: there is no such file. */
  readonly mode: number | undefined;
  /** Why it cannot be used: a sentence. */
  readonly damage: string | undefined;
  /** This user may not read it, which says nothing of the service. */
  readonly isClosed: boolean;
}

export function decideHostKey({ path, mode, damage, isClosed }: KeyFacts): Check {
  if (mode === undefined)
    return failed(
      'host-key',
      `${path} is not there, and the service does not start without it: put it back from a copy, or let this machine join anew with another state folder`,
    );
  if (damage !== undefined) return failed('host-key', damage);
  if (isExposed(mode))
    return failed(
      'host-key',
      exposedText(path, mode, "shut this host out ('cluster revoke'), and let it join anew with another state folder"),
    );
  if (isClosed) return warning('host-key', `${closedText(path)}: nor is what depends on it looked at`);
  return ok('host-key', 'it is whole, and nobody but its owner can read it');
}

export const closedText = (path: string): string => `this user may not read ${path}, so it is not looked at (be root)`;

export const isExposed = (mode: number): boolean => (mode & OTHERS) !== 0;

/** @param remedy what to do if somebody has read it */
export function exposedText(path: string, mode: number, remedy: string): string {
  return `${path} can be read by others (mode ${(mode & 0o777).toString(8)}), and the service does not start with it: chmod 600 ${shellWord(path)}. If somebody else may have read it, ${remedy}`;
}

// ── Gathering ──

export interface StateHere {
  readonly path: string;
  readonly saidBy: StateSaid;
  readonly userText: (uid: number) => string;
  readonly service: ServiceFacts;
  readonly hostKey: KeyFacts;
}

/** Hooks may be root's (deploy/HOOKS.md), and where a disk is mounted there, ext4 has a folder of its own. */
const MAY_BE_FOREIGN = ['hooks', 'lost+found'];

export function checkState({ path, saidBy, userText, service, hostKey }: StateHere): readonly Check[] {
  const { uid, mode } = statSync(path);
  const disk = statfsSync(path);
  const foreign = namesIn(path).flatMap(name => {
    if (MAY_BE_FOREIGN.includes(name)) return [];
    const found = lstatSync(join(path, name), { throwIfNoEntry: false });
    return found === undefined || found.uid === uid ? [] : [{ name, owner: userText(found.uid) }];
  });
  return [
    decideStateFolder({ path, saidBy, owner: userText(uid), mode, foreign }),
    decideStateRoom({ freeBytes: disk.bavail * disk.bsize, freeFiles: disk.files > 0 ? disk.ffree : undefined }),
    decideSocket(join(path, CONTROL_SOCKET_NAME)),
    decideService(service),
    decideHostKey(hostKey),
  ];
}

function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    // Who may only pass through, to the socket, is no less heard by the service.
    if (systemCode(error) === 'EACCES') return [];
    throw error;
  }
}
