/**
 * Store checks: what the doctor looks at in each store that the policy has for this host, as far as it can be told
 * without writing there.
 */
import { constants, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { lookAtForbidden, pathsBelow } from '../catalog/forbidden-folder.js';
import type { ClusterId, HostId } from '../core/ids.js';
import { MadeStores } from '../daemon/made-stores.js';
import type { HostStore } from '../daemon/service.js';
import type { Lending, StoreSetting } from '../membership/policy.js';
import { access, lstat, stat, statfs } from '../platform/disk-calls.js';
import { MARKER_NAME, type ReadMarker, readMarker } from '../store/marker.js';
import { systemCode } from '../store/own-folder.js';
import { resolveStorePath } from '../store/store-folder.js';
import { type Check, failed, ok, warning } from './check.js';
import { LATE, LATE_TEXT, lookApart, type Unseen } from './look.js';
import { shellWord, sizeText } from './text.js';

// ── There, and whose ──

export interface StoreLook {
  readonly kind: 'seen';
  readonly marker: ReadMarker;
  readonly write: 'yes' | 'no' | 'read-only';
  /** The user to whom what is in it belongs; undefined: there is nothing yet. */
  readonly contentOf: string | undefined;
  /** The state folder is that folder, or lies below it. */
  readonly holdsState: boolean;
  /** Of its file system. */
  readonly device: number;
  readonly disk: DiskFacts;
  /** The marker is found by a name in capitals too. */
  readonly foldsCase: boolean;
}

export type StoreSeen = StoreLook | Unseen;

export interface StoreFacts {
  readonly path: string;
  readonly seen: StoreSeen;
  /** This host has made a store there before. Undefined: its list of them is damaged. */
  readonly wasMade: boolean | undefined;
  readonly cluster: ClusterId;
  readonly host: HostId;
  /** The name of a host of this cluster, or its id. */
  readonly nameOf: (host: HostId) => string;
  /** The user as whom the service runs, and whether this command runs as the same. */
  readonly serviceUser: string;
  readonly isServiceUser: boolean;
  /** What the service that runs says of it. */
  readonly report: Pick<HostStore, 'mounted' | 'because' | 'usedBytes'> | undefined;
}

export function decideStore(facts: StoreFacts): Check {
  const { path, seen, wasMade, cluster, host, nameOf, serviceUser, isServiceUser, report } = facts;
  const fail = (message: string): Check => failed('store', message, path);
  switch (seen.kind) {
    case LATE:
      return fail(LATE_TEXT);
    case 'absent':
      return fail('there is no such folder: mount its disk, or make it. If it has left, take it out of the policy');
    case 'closed':
      return fail(
        `it cannot be looked at (${seen.because}): is it the service's own (${serviceUser}), and its disk well?`,
      );
    case 'seen':
  }
  const { marker, write, contentOf, holdsState } = seen;
  if (marker.kind === 'unreadable') return fail(`its ${MARKER_NAME} cannot be read: ${marker.because}`);
  if (marker.kind === 'found' && marker.marker.cluster !== cluster)
    return fail(
      `it is a store of another cluster, ${marker.marker.cluster}: plug in the right disk, or name another folder`,
    );
  if (marker.kind === 'found' && marker.marker.host !== host)
    return fail(
      `it is the store of another host, ${nameOf(marker.marker.host)}: plug in the right disk, or name another folder`,
    );
  if (marker.kind === 'absent' && wasMade === true)
    return fail(
      `it has no ${MARKER_NAME}, and had one: its disk is not mounted there. If it is a new one, take the store out of the policy, and add it again; if it is the old one, put that file back from a copy`,
    );
  // Of a store that was made that would be the wrong advice: to leave it out of the policy gives its copies up.
  if (marker.kind === 'absent' && holdsState)
    return fail('the state folder lies in it, and no key may lie in a store: name another folder in the policy');
  if (write === 'read-only')
    return fail("its file system is read-only: a system does that to a failing disk. Look at the kernel's log");
  if (contentOf !== undefined && contentOf !== serviceUser)
    return fail(
      `what is in it belongs to ${contentOf}, and the service runs as ${serviceUser}: chown -R ${serviceUser} ${shellWord(path)}`,
    );
  if (write === 'no' && isServiceUser)
    return fail(`${serviceUser} may not write there: chown ${serviceUser} ${shellWord(path)}`);
  if (report?.mounted === false)
    return fail(
      `the service does not use it: ${report.because ?? 'it does not say why'}. If it is right here, the unit does not let the service write there (ReadWritePaths)`,
    );
  if (marker.kind === 'absent')
    return warning(
      'store',
      wasMade === undefined
        ? `it has no ${MARKER_NAME}, and stores.json in the state folder does not say whether it had one`
        : 'no store has been made there yet: the service does so within a minute, or when it starts',
      path,
    );
  if (holdsState)
    return warning(
      'store',
      'it is used, and its copies count; but the state folder of this host, where its keys lie, is in it: give this disk to nobody, and move the state folder. Leave the store in the policy',
      path,
    );
  return ok('store', report?.mounted === true ? "it is this host's, and in use" : "it is there, and this host's", path);
}

// ── Which disk ──

export interface StoreDiskFacts {
  readonly path: string;
  readonly device: number;
  readonly stateDevice: number;
  readonly sources: readonly { readonly name: string; readonly device: number }[];
  /** The other stores of this host. */
  readonly others: readonly { readonly path: string; readonly device: number }[];
}

export function decideStoreDisk({ path, device, stateDevice, sources, others }: StoreDiskFacts): Check {
  const shared = others.filter(other => other.device === device);
  if (shared.length > 0)
    return warning(
      'store-disk',
      `it lies on one file system with ${shared.map(other => other.path).join(', ')}: they share its room, and fail together. One store a disk is enough`,
      path,
    );
  const here = sources.filter(source => source.device === device).map(({ name }) => name);
  const along = [
    ...(device === stateDevice ? ['the state folder'] : []),
    ...(here.length > 0 ? [`the source${here.length === 1 ? '' : 's'} ${here.join(', ')}`] : []),
  ];
  if (along.length === 0)
    return ok('store-disk', 'it has a file system to itself, apart from the state folder and the sources', path);
  return ok(
    'store-disk',
    `it lies on one file system with ${along.join(' and ')}: if that disk dies, its copies of other hosts' files go too`,
    path,
  );
}

// ── Room ──

export interface DiskFacts {
  /** What its file system has left for this user, and has in all. */
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Undefined: this file system has no such limit. */
  readonly freeFiles: number | undefined;
  /** The number by which Linux knows its kind; 0 elsewhere. */
  readonly type: number;
}

export interface StoreRoomFacts {
  readonly path: string;
  readonly lends: Lending;
  readonly disk: Pick<DiskFacts, 'freeBytes' | 'totalBytes' | 'freeFiles'>;
  /** What the store uses; undefined: only the service knows. */
  readonly usedBytes: number | undefined;
}

export function decideStoreRoom({ path, lends, disk, usedBytes }: StoreRoomFacts): Check {
  const { freeBytes, totalBytes, freeFiles } = disk;
  const warn = (message: string): Check => warning('store-room', message, path);
  const [free, used] = [sizeText(freeBytes), usedBytes === undefined ? '' : `${sizeText(usedBytes)} in use, `];
  if (freeFiles === 0) return warn('its file system has no inodes left: it takes no more files, whatever room it has');
  if (lends.kind === 'limit') {
    const limit = sizeText(lends.bytes);
    if (lends.bytes > totalBytes) return warn(`its limit is ${limit}, and its disk has ${sizeText(totalBytes)} in all`);
    if (usedBytes !== undefined && usedBytes < lends.bytes && freeBytes < lends.bytes - usedBytes)
      return warn(`${used}of a limit of ${limit}, and only ${free} are free: other files take the rest of its disk`);
    if (usedBytes === undefined && freeBytes === 0) return warn('its disk is full: it takes no more');
    return ok('store-room', `${used}a limit of ${limit}, ${free} free on its disk`, path);
  }
  const reserveBytes = lends.kind === 'reserve' ? lends.bytes : Math.floor((totalBytes * lends.percent) / 100);
  const reserve = sizeText(reserveBytes);
  if (freeBytes <= reserveBytes)
    return warn(
      `${used}${free} free on its disk, and a reserve of ${reserve}: it takes no more. Make room there, or lower the reserve`,
    );
  return ok('store-room', `${used}${free} free on its disk, of which ${reserve} are to stay free`, path);
}

// ── Names and links ──

export interface StoreNamesFacts {
  readonly path: string;
  readonly type: number;
  readonly foldsCase: boolean;
}

/** As statfs gives them (linux/magic.h): file systems that have no hard links. */
const LINKLESS: ReadonlyMap<number, string> = new Map([
  [0x4d44, 'FAT'],
  [0x2011bab0, 'exFAT'],
]);

export function decideStoreNames({ path, type, foldsCase }: StoreNamesFacts): Check {
  const linkless = LINKLESS.get(type);
  if (linkless !== undefined)
    return warning(
      'store-names',
      `its file system (${linkless}) has no hard links: the files are in .blobs alone, by their hashes, and no tree shows them by their names`,
      path,
    );
  if (foldsCase)
    return warning(
      'store-names',
      'its file system takes A and a for the same letter: of two such names one is not in the tree, but listed in .unplaced',
      path,
    );
  return ok('store-names', 'its file system keeps names as they are', path);
}

// ── Gathering ──

export interface StoreHere {
  readonly setting: StoreSetting;
  readonly seen: StoreSeen;
}

interface Looking {
  readonly stateDir: string;
  readonly userText: (uid: number) => string;
}

export const lookAtStores = (settings: readonly StoreSetting[], looking: Looking): Promise<readonly StoreHere[]> =>
  Promise.all(
    settings.map(async setting => ({ setting, seen: await lookApart(setting.path, path => lookInto(path, looking)) })),
  );

export interface KnownOfStores {
  readonly stateDir: string;
  /** By path, as the service says. */
  readonly reports: ReadonlyMap<string, HostStore>;
  /** The same of all. */
  readonly facts: Omit<StoreFacts, 'path' | 'seen' | 'wasMade' | 'report'>;
  readonly sources: StoreDiskFacts['sources'];
}

export function checkStores(
  stores: readonly StoreHere[],
  { stateDir, reports, facts, sources }: KnownOfStores,
): readonly Check[] {
  const wasMade = lookAtMade(stateDir);
  const stateDevice = statSync(stateDir).dev;
  const devices = stores.flatMap(({ setting: { path }, seen }) =>
    seen.kind === 'seen' ? [{ path, device: seen.device }] : [],
  );
  return stores.flatMap(({ setting: { path, lends, draining }, seen }) => {
    const report = reports.get(path);
    const store = decideStore({ ...facts, path, seen, wasMade: wasMade(path), report });
    // Where the folder is not the store, its disk is another one's.
    if (seen.kind !== 'seen' || store.result === 'failed') return [store];
    const { device, disk, foldsCase } = seen;
    const others = devices.filter(other => other.path !== path);
    const usedBytes = report?.mounted ? report.usedBytes : undefined;
    return [
      store,
      decideStoreDisk({ path, device, stateDevice, sources, others }),
      // One that is to be emptied takes nothing.
      ...(draining ? [] : [decideStoreRoom({ path, lends, disk, usedBytes })]),
      decideStoreNames({ path, type: disk.type, foldsCase }),
    ];
  });
}

function lookAtMade(stateDir: string): (path: string) => boolean | undefined {
  const made = new MadeStores(stateDir);
  try {
    made.recall();
  } catch {
    // STATE_DAMAGED, which stops the service from starting, and is what it says then.
    return () => undefined;
  }
  return path => made.at(path) !== undefined;
}

async function lookInto(path: string, { stateDir, userText }: Looking): Promise<StoreSeen> {
  const real = await resolveStorePath(path);
  if (real === undefined) return { kind: 'absent' };
  const [state, folder, { dev }, disk] = await Promise.all([
    lookAtForbidden(stateDir),
    lookAtForbidden(path),
    stat(real),
    statfs(real),
  ]);
  const content = await lstatIfThere(join(real, '.blobs'));
  const marker = await lstatIfThere(join(real, MARKER_NAME));
  const inCapitals = await lstatIfThere(join(real, MARKER_NAME.toUpperCase()));
  return {
    kind: 'seen',
    marker: await readMarker(real),
    write: await writeAccess(real),
    contentOf: content === undefined ? undefined : userText(content.uid),
    holdsState:
      folder.identity === state.identity || pathsBelow(Buffer.from(folder.path, 'latin1'), [state]).length > 0,
    device: dev,
    disk: {
      freeBytes: disk.bavail * disk.bsize,
      totalBytes: disk.blocks * disk.bsize,
      freeFiles: disk.files > 0 ? disk.ffree : undefined,
      type: process.platform === 'linux' ? disk.type : 0,
    },
    foldsCase: marker !== undefined && inCapitals?.ino === marker.ino && inCapitals.dev === marker.dev,
  };
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeAccess(path: string): Promise<StoreLook['write']> {
  try {
    await access(path, constants.W_OK);
    return 'yes';
  } catch (error) {
    return systemCode(error) === 'EROFS' ? 'read-only' : 'no';
  }
}
