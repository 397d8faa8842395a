/**
 * Chain record: the chains of state hashes that some seeds gave, kept beside the sources. The same seed must give the
 * same chain (I9) on every machine and Node.js version. A deliberate change of a decision changes the chains too; they
 * are recorded again with it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawRun } from './run-options.js';
import { runSeed } from './run-seed.js';
import { LINK_EVENTS } from './state-hash.js';

/** By seed: the links as hexadecimal numbers, separated by spaces. */
export type ChainRecord = ReadonlyMap<number, string>;

/** Beside the sources; npm runs everything from the top of the project. */
const FILE = join('sim', 'chain.json');
const ANEW = 'record the chains again with npm run sim -- hashes --save yes';

/** @throws Error when the record is not there or not what `writeChains` wrote. */
export function readChains(file = FILE): ChainRecord {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file} cannot be read (${error instanceof Error ? error.message : error}); ${ANEW}`);
  }
  const chains = Object.entries(typeof parsed === 'object' && parsed !== null ? parsed : {});
  const record = new Map<number, string>();
  for (const [seed, links] of chains) {
    if (!/^\d+$/.test(seed) || typeof links !== 'string' || !/^[0-9a-f]{8}( [0-9a-f]{8})*$/.test(links))
      throw new Error(`${file}: the chain of seed ${seed} is damaged; ${ANEW}`);
    record.set(Number(seed), links);
  }
  if (record.size === 0) throw new Error(`${file} holds no chains; ${ANEW}`);
  return record;
}

export function writeChains(chains: ChainRecord): void {
  writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(chains), undefined, 2)}\n`);
}

export const chainOf = (links: readonly number[]): string =>
  links.map(link => link.toString(16).padStart(8, '0')).join(' ');

/** The chain that a seed gives now. */
export const chainOfSeed = (seed: number): string => chainOf(runSeed(drawRun(seed), { hashes: true }).links);

/** @returns where two chains first differ; undefined when they do not. */
export function firstDifference(chain: string, recorded: string): string | undefined {
  if (chain === recorded) return undefined;
  const [links, before] = [chain.split(' '), recorded.split(' ')];
  const at = links.findIndex((link, i) => link !== before[i]);
  const place = at < 0 ? links.length : at;
  return `link ${place} is ${links[place] ?? 'missing'} and was ${before[place] ?? 'missing'}: it differs from an event after ${place * LINK_EVENTS} on; if decisions changed on purpose, ${ANEW}`;
}
