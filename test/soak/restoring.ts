/** Restoring: a saved snapshot comes back as it was, whoever is asked, and whoever dies meanwhile. */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { compareTrees } from '../helpers/compare-trees.js';
import type { House, Machine, Source } from './house.js';
import type { Saved, Stage } from './saved-snapshots.js';

/** How long a restore may go on failing after all hosts are up again: they have to find each other first. */
const GOES_ON_WITHIN_MS = 60_000;
const TRY_EVERY_MS = 2_000;
const DIFFERENCES_SHOWN = 5;

export const specOf = ({ source, id }: Pick<Saved, 'source' | 'id'>): string => `${source}@${id}`;
export const shownSpec = ({ source, id }: Pick<Saved, 'source' | 'id'>): string => `${source}@${id.slice(0, 8)}`;

/** Restores on a machine, compares, and removes what was restored. */
export async function restoreAndCompare(house: House, saved: Saved, by: Machine): Promise<void> {
  const target = targetFor(house);
  const { code, err } = await house.hostOn(by).run('restore', specOf(saved), '--target', target);
  if (code === 0) compare(house, saved, target);
  else house.journal.fail(`restore ${shownSpec(saved)} by ${by} ended with ${code}: ${err.trim()}`);
  rmSync(target, { recursive: true, force: true });
}

/** What could not be fetched while a host was down is fetched by the same command once it is up again. */
export async function restoreUnderKill(
  { house, saved }: Stage,
  {
    source,
    by,
    victim,
    afterMs,
  }: { readonly source: Source; readonly by: Machine; readonly victim: Machine; readonly afterMs: number },
): Promise<void> {
  await saved.notePromises();
  const promised = (await saved.listed(source)).findLast(one => one.promised);
  if (promised === undefined) {
    house.journal.say(`  nothing of ${source} was protected yet`);
    return;
  }
  const target = targetFor(house);
  const restore = () => house.hostOn(by).run('restore', specOf(promised), '--target', target);
  const first = restore();
  await delay(afterMs);
  await house.kill(victim);
  let { code, err } = await first;
  house.journal.say(`  ${shownSpec(promised)}: the restore ended with ${code}`);
  await house.bringUp(victim);
  const untilMs = Date.now() + GOES_ON_WITHIN_MS;
  while (code !== 0 && Date.now() < untilMs) {
    await delay(TRY_EVERY_MS);
    ({ code, err } = await restore());
  }
  if (code === 0) compare(house, promised, target);
  else house.journal.fail(`restore ${shownSpec(promised)} by ${by} ends with ${code} though all are up: ${err.trim()}`);
  rmSync(target, { recursive: true, force: true });
}

let targets = 0;
function targetFor({ cluster }: House): string {
  targets += 1;
  return cluster.path(`restored-${targets}`);
}

function compare({ journal }: House, saved: Saved, target: string): void {
  const differences = compareTrees(saved.folder, target);
  if (differences.length === 0) return;
  const shown = differences.slice(0, DIFFERENCES_SHOWN).join(' | ');
  journal.fail(`${shownSpec(saved)} came back otherwise, in ${differences.length} things: ${shown}`);
}
