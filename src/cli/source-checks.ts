/**
 * Source checks: what the doctor looks at in each source that the policy has for this host: its folder, what is mounted
 * below it, how old its newest snapshot is, and whether the kernel can watch it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Exclusion } from '../catalog/exclude.js';
import { ifReadable, readSnapshot } from '../catalog/read-object.js';
import { judgeBy, lookAtOwnHead } from '../catalog/source-history.js';
import { messageOf } from '../core/fault.js';
import { type HostId, type SourceId, sourceIdOf } from '../core/ids.js';
import type { SourceReport } from '../daemon/service.js';
import type { SourceSetting } from '../membership/policy.js';
import { freshUntil, lateness, scheduleText } from '../membership/schedule.js';
import { diskOf } from '../platform/disk.js';
import { lstat, nameIn, realpath, stat } from '../platform/disk-calls.js';
import { mountPoints } from '../platform/mount-table.js';
import { ObjectFolderReader } from '../store/object-folder.js';
import { type Check, failed, ok, warning } from './check.js';
import { LATE, LATE_TEXT, lookApart, type Unseen } from './look.js';
import { openFilesOf } from './machine-checks.js';
import { countText, spanText } from './text.js';

// ── The folder ──

export interface SourceLook {
  readonly kind: 'seen';
  readonly isEmpty: boolean;
  readonly device: number;
  /** Other file systems that begin below it and are not excluded. Undefined: this system does not say. */
  readonly mounts: readonly string[] | undefined;
}

export type SourceSeen = SourceLook | { readonly kind: 'no-folder' } | Unseen;

export interface SourceFacts {
  readonly name: string;
  readonly path: string;
  readonly seen: SourceSeen;
  /** Files of its newest snapshot. Undefined: there is none, or it is not known. */
  readonly files: number | undefined;
  /** The service runs: why it cannot read the source, if so. */
  readonly report: Pick<SourceReport, 'missing'> | undefined;
}

/** They say nothing of the service, which may read more than this user. */
const NOT_ALLOWED = ['EACCES', 'EPERM'];

export function decideSource({ name, path, seen, files, report }: SourceFacts): Check {
  const fail = (message: string): Check => failed('source', message, name);
  switch (seen.kind) {
    case LATE:
      return fail(`${path}: ${LATE_TEXT}. No snapshot is taken until it answers`);
    case 'absent':
      return fail(`there is no folder ${path}: mount its disk, or correct the policy. No snapshot is taken`);
    case 'no-folder':
      return fail(`${path} is not a folder: correct the policy. No snapshot is taken`);
    case 'closed':
      if (report?.missing === undefined && report !== undefined)
        return ok('source', `${path} is closed to this user; the service reads it`, name);
      if (report?.missing !== undefined) return fail(report.missing);
      if (!NOT_ALLOWED.includes(seen.because))
        return fail(`${path} cannot be read (${seen.because}): look at its disk`);
      return warning(
        'source',
        `${path} is closed to this user (${seen.because}). If the service may not read it either, no snapshot is taken: the unit that comes with it gives it that right`,
        name,
      );
    case 'seen':
  }
  if (report?.missing !== undefined) return fail(report.missing);
  if (!seen.isEmpty) return ok('source', `${path} is there`, name);
  if (files !== undefined && files > 0)
    return fail(
      `${path} is empty, and its last snapshot has ${countText(files, 'file')}: no snapshot is taken. Mount its disk, or, if it is meant to be empty, 'cluster backup ${name} --accept-changes --yes'`,
    );
  return warning('source', `${path} is empty: is it the right folder, and its disk mounted?`, name);
}

/** How many mounts are named. */
const MOUNTS_TOLD = 3;

export function decideMounts({ name, mounts }: { readonly name: string; readonly mounts: readonly string[] }): Check {
  if (mounts.length === 0) return ok('source-mounts', 'no other file system lies below it', name);
  const named = mounts.slice(0, MOUNTS_TOLD).join(', ');
  const more = mounts.length > MOUNTS_TOLD ? ` and ${mounts.length - MOUNTS_TOLD} more` : '';
  return warning(
    'source-mounts',
    `other file systems lie below it, and are not backed up: ${named}${more}. 'crossMounts: true' takes them in; 'exclude' says that they are not wanted`,
    name,
  );
}

// ── The newest snapshot ──

export interface SnapshotFacts {
  readonly name: string;
  readonly newest:
    | { readonly kind: 'none' }
    | { readonly kind: 'damaged'; readonly because: string }
    | { readonly kind: 'known'; readonly timeMs: number; readonly freshUntilMs: number };
  /** `every 1h` */
  readonly schedule: string;
  readonly nowMs: number;
}

export function decideSnapshot({ name, newest, schedule, nowMs }: SnapshotFacts): Check {
  const now = `'cluster backup ${name}' takes one now, or says why it cannot`;
  switch (newest.kind) {
    case 'damaged':
      return failed('source-snapshot', newest.because, name);
    case 'none':
      return warning('source-snapshot', `there is no snapshot of it yet (${schedule}): ${now}`, name);
    case 'known': {
      const what = `its newest snapshot is ${spanText(nowMs - newest.timeMs)} old (${schedule})`;
      if (nowMs <= newest.freshUntilMs) return ok('source-snapshot', what, name);
      return failed('source-snapshot', `${what}: two of its times have passed since. ${now}`, name);
    }
  }
}

// ── Watching ──

export interface WatchFacts {
  /** The sources that have `watch`. */
  readonly names: readonly string[];
  /** How many folders the kernel lets a user watch. */
  readonly max: number;
  /** How many the service watches. Undefined: it does not run, or this user may not see that. */
  readonly used: number | undefined;
}

/** Above this share of the limit, the next folders that are made may be too many. */
const WATCHES_FULL = 0.9;

export function decideWatch({ names, max, used }: WatchFacts): Check {
  const of = `a user may watch ${countText(max, 'folder')} (fs.inotify.max_user_watches)`;
  const which = names.join(', ');
  if (used === undefined) return ok('source-watch', `${of}; each folder of ${which} takes one`);
  const what = `the service watches ${countText(used, 'folder')} of ${which}, and ${of}`;
  if (used > max * WATCHES_FULL)
    return warning('source-watch', `${what}: raise that with sysctl, or changes are not noticed any more`);
  return ok('source-watch', what);
}

// ── Gathering ──

export interface ServiceOnSources {
  readonly host: HostId;
  /** By id, as the service says; undefined: it does not answer. */
  readonly reports: ReadonlyMap<SourceId, SourceReport> | undefined;
  /** The service's process. */
  readonly pid: number | undefined;
}

/** What the state folder says of a source. */
export interface SourceKnown {
  readonly setting: SourceSetting;
  readonly newest: SnapshotFacts['newest'];
  /** Of the newest snapshot. */
  readonly files: number | undefined;
}

/** … and what its folder says. */
export interface SourceHere extends SourceKnown {
  readonly seen: SourceSeen;
}

/** Where its heads lie, and with which keys they may be signed. */
interface HostAndKeys {
  readonly stateDir: string;
  readonly host: HostId;
  readonly keys: readonly Uint8Array[];
}

export const recallSources = (settings: readonly SourceSetting[], host: HostAndKeys): Promise<readonly SourceKnown[]> =>
  Promise.all(settings.map(async setting => ({ setting, ...(await lookAtNewest(setting, host)) })));

export const lookAtSources = (known: readonly SourceKnown[]): Promise<readonly SourceHere[]> =>
  Promise.all(
    known.map(async source => ({
      ...source,
      seen: await lookApart(source.setting.path, path => lookInto(path, source.setting.exclude)),
    })),
  );

export function checkSources(
  sources: readonly SourceHere[],
  { host, reports, pid }: ServiceOnSources,
): readonly Check[] {
  const nowMs = Date.now();
  const each = sources.flatMap(({ setting, seen, newest, files }) => {
    const { name, path, schedule } = setting;
    const report = reports?.get(sourceIdOf(host, name));
    const mounts = seen.kind === 'seen' && !setting.crossMounts ? seen.mounts : undefined;
    return [
      decideSource({ name, path, seen, files, report }),
      ...(mounts === undefined ? [] : [decideMounts({ name, mounts })]),
      decideSnapshot({ name, newest, schedule: scheduleText(schedule), nowMs }),
    ];
  });
  const names = sources.filter(({ setting }) => setting.watch).map(({ setting }) => setting.name);
  const max = names.length === 0 ? undefined : watchesMax();
  if (max === undefined) return each;
  return [...each, decideWatch({ names, max, used: pid === undefined ? undefined : watchesOf(pid) })];
}

async function lookInto(path: string, exclude: readonly string[]): Promise<SourceSeen> {
  const real = await realpath(path);
  diskOf(path)?.alsoAt(real);
  const found = await stat(real);
  if (!found.isDirectory()) return { kind: 'no-folder' };
  return {
    kind: 'seen',
    isEmpty: (await nameIn(real)) === undefined,
    device: found.dev,
    mounts: await mountsBelow(real, { device: found.dev, exclude }),
  };
}

/** By what Linux says is mounted in this command's own view. A source with a name that is no text is not looked at. */
async function mountsBelow(
  folder: string,
  { device, exclude }: { readonly device: number; readonly exclude: readonly string[] },
): Promise<readonly string[] | undefined> {
  const points = mountPoints();
  if (points === undefined) return undefined;
  const beginning = folder === '/' ? '/' : `${folder}/`;
  const below = [...points]
    .map(point => Buffer.from(point, 'latin1').toString())
    .filter(path => path.startsWith(beginning) && path !== folder);
  const exclusion = new Exclusion(exclude);
  const wanted = below.filter(path => !isExcluded(path.slice(beginning.length), exclusion));
  const others = await Promise.all(
    wanted.map(async path => {
      try {
        return (await lstat(path)).dev === device ? [] : [path];
      } catch {
        return []; // it has just gone, or is closed to this user
      }
    }),
  );
  return others.flat().sort();
}

function isExcluded(path: string, exclusion: Exclusion): boolean {
  const names = path.split('/');
  return names.some((_, at) =>
    exclusion.excludes(Buffer.from(names.slice(0, at + 1).join('/')), { isDirectory: true }),
  );
}

async function lookAtNewest(
  { name, schedule, jitterMs }: SourceSetting,
  { stateDir, host, keys }: HostAndKeys,
): Promise<Pick<SourceHere, 'newest' | 'files'>> {
  const source = sourceIdOf(host, name);
  const folder = join(stateDir, 'catalog', 'own-heads');
  try {
    const known = await lookAtOwnHead(folder, source, judgeBy(...keys));
    const last = known?.head.snapshots.at(-1);
    if (last === undefined) return { newest: { kind: 'none' }, files: undefined };
    const { id, timeMs } = last;
    const freshUntilMs = freshUntil(schedule, timeMs, lateness(source, jitterMs));
    const objects = new ObjectFolderReader(join(stateDir, 'catalog', 'objects'), () => {});
    const read = await ifReadable(readSnapshot(objects, id));
    return { newest: { kind: 'known', timeMs, freshUntilMs }, files: read?.files };
  } catch (error) {
    return { newest: { kind: 'damaged', because: messageOf(error) }, files: undefined };
  }
}

function watchesMax(): number | undefined {
  const path = '/proc/sys/fs/inotify/max_user_watches';
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : undefined;
}

/** What the kernel says of each open file that watches. */
function watchesOf(pid: number): number | undefined {
  const files = openFilesOf(pid)?.filter(({ what }) => what.endsWith('inotify'));
  try {
    const tables = files?.map(({ fd }) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
    return tables?.reduce((sum, table) => sum + (table.match(/^inotify wd:/gm)?.length ?? 0), 0);
  } catch {
    return undefined; // it has just ended
  }
}
