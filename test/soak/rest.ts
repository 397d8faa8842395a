/**
 * Rest: all is healed, and what was promised must be so. First by the word of the cluster (it comes to rest within a
 * bound), then by evidence: the copies counted on the disks, and snapshots restored and compared with the folders as
 * they were.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ChanceStreams } from '../../sim/chance-streams.js';
import { pick } from '../../sim/draw.js';
import type { Chance } from '../../src/core/chance.js';
import { levelsOf } from '../demo/blob-names.js';
import { type CopyCount, countCopies } from '../helpers/count-copies.js';
import { ADMIN, COPIES, MACHINES, type Machine, SOURCES, type Source } from './house.js';
import { restoreAndCompare, shownSpec } from './restoring.js';
import type { Saved, Stage } from './saved-snapshots.js';

/** After this much nothing more is hoped for: a store rests a minute after its disk was full, and then looks again. */
const REST_MS_MAX = 300_000;
const SHORT_MS_MAX = 60_000;
/** Snapshots of each source, the newest. */
const RESTORED = 2;
const WRONG_SHOWN = 5;
/** What is dropped wrongly is copied again within seconds. */
const LOOK_EVERY_MS = 300;

/** Undoes what lasts, and takes the last snapshots: the sources are still from here on. */
export async function heal({ house, saved }: Stage): Promise<void> {
  for (const machine of MACHINES) await house.bringUp(machine);
  house.copies = COPIES;
  await house.applyPolicy();
  house.isLive = false;
  for (const source of Object.keys(SOURCES) as Source[]) {
    const why = await saved.take(source);
    if (why !== undefined) house.journal.fail(why);
  }
}

interface Look {
  /** Whose disk was harmed since all was at rest. */
  readonly harmed: Machine | undefined;
  /** Who restores is drawn by it. */
  readonly seed: number;
}

export async function checkAtRest(stage: Stage, { harmed, seed }: Look): Promise<void> {
  const { house, saved } = stage;
  const { journal } = house;
  if (!(await comesToRest(stage, harmed))) return;
  // What has rotted and nobody has read yet is found now, and made again.
  for (const machine of MACHINES) {
    const { code, err } = await house.hostOn(machine).run('scrub');
    if (code === 1) journal.say(`  scrub ${machine}: ${lastLine(err)}`);
    else if (code !== 0) journal.fail(`scrub ${machine} ended with ${code}: ${err.trim()}`);
  }
  if (!(await comesToRest(stage, harmed))) return;
  house.tellEnded();

  const count = await countCopies(MACHINES.map(machine => ({ host: machine, path: house.storeOn(machine) })));
  if (count.wrong.length > 0)
    journal.fail(`${count.wrong.length} wrong blobs: ${count.wrong.slice(0, WRONG_SHOWN).join(' | ')}`);
  const chance = new ChanceStreams(seed).of('who restores');
  const isHarmed = harmed !== undefined;
  for (const source of Object.keys(SOURCES) as Source[]) await checkSource(stage, { source, isHarmed, count, chance });
  await saved.notePromises();
  const { alarms } = await house.hostOn(ADMIN).status();
  const codes = [...new Set(alarms.map(({ code }) => code))].join(', ') || 'none';
  journal.say(`  at rest: ${count.copies.size} contents on the disks, ${saved.count} snapshots, alarms: ${codes}`);
}

interface SourceLook {
  readonly source: Source;
  readonly isHarmed: boolean;
  readonly count: CopyCount;
  readonly chance: Chance;
}

/**
 * By the admin's word the newest snapshots have their copies, and nothing is under way. Older ones may lack some for good,
 * if a disk was harmed; so they are waited for no longer than `SHORT_MS_MAX`. Meanwhile much is copied and dropped, so it
 * is looked again and again whether what is promised keeps its copies.
 */
export async function comesToRest(stage: Stage, harmed: Machine | undefined): Promise<boolean> {
  const { house } = stage;
  const { journal } = house;
  const untilMs = Date.now() + REST_MS_MAX;
  let restingSinceMs: number | undefined;
  for (;;) {
    await tellShort(stage, harmed);
    if (journal.failures > 0) return false;
    const { protected: isProtected, settled, sources } = await house.hostOn(ADMIN).status();
    const isShort = sources.some(({ parcels }) => parcels.under > 0);
    const nowMs = Date.now();
    restingSinceMs = isProtected && settled ? (restingSinceMs ?? nowMs) : undefined;
    if (restingSinceMs !== undefined && (!isShort || nowMs - restingSinceMs > SHORT_MS_MAX)) return true;
    if (nowMs > untilMs) {
      journal.fail(`no rest within ${REST_MS_MAX} ms:\n${(await house.hostOn(ADMIN).run('status')).out}`);
      return false;
    }
    await delay(LOOK_EVERY_MS);
  }
}

/**
 * By the names of the blobs alone: what is promised has as many copies as are wanted, or one fewer on disks that were
 * not harmed. No drop, move or expiry may ever take one of these.
 */
export async function tellShort({ house, saved }: Stage, harmed: Machine | undefined): Promise<void> {
  await saved.notePromises();
  for (const source of house.askable) {
    const stores = MACHINES.filter(one => one !== harmed && one !== SOURCES[source]).map(one => house.storeOn(one));
    const wanted = harmed === undefined ? COPIES : COPIES - 1;
    for (const one of await saved.listed(source)) {
      if (!one.promised) continue;
      const { enough } = levelsOf(one.contents, stores, wanted);
      const short = one.contents.size - enough;
      if (short > 0) house.journal.fail(`${shownSpec(one)}: ${short} contents have fewer than ${wanted} copies`);
    }
  }
}

/** The newest snapshot must be protected, and what is said to be protected must be. */
async function checkSource({ house, saved }: Stage, { source, isHarmed, count, chance }: SourceLook): Promise<void> {
  const { journal } = house;
  const all = await saved.listed(source);
  for (const one of all) {
    if (one.isProtected) {
      const short = shortOf(one.contents, count, SOURCES[source]);
      if (short !== undefined) journal.fail(`${shownSpec(one)} is said to be protected, but ${short}`);
    } else if (one.promised || one === all.at(-1) || !isHarmed) journal.fail(`${shownSpec(one)} is not protected`);
    else journal.say(`  ${shownSpec(one)} was not protected when a disk was harmed, and is not`);
  }
  for (const one of all.filter(({ isProtected }) => isProtected).slice(-RESTORED))
    await restoreAndCompare(house, one, pick(chance, MACHINES));
}

/** Of which content there are too few copies on others than the origin; undefined: of none. */
function shortOf(contents: Saved['contents'], { copies }: CopyCount, origin: Machine): string | undefined {
  const short = [...contents.keys()]
    .map(hash => ({ hash, hosts: (copies.get(hash)?.hosts ?? []).filter(host => host !== origin) }))
    .filter(({ hosts }) => hosts.length < COPIES);
  const [first] = short;
  if (first === undefined) return undefined;
  return `${short.length} contents are short; ${first.hash} lies on ${first.hosts.join(', ') || 'no host'}`;
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
