/**
 * `cluster survive`: which hosts can be lost, and what would go with them: the copies as they are now, no simulation.
 *
 * A parcel is gone for good when every host with a copy is, and its origin too, if its files there are still as they
 * were. Those of an archived source count as gone, and those of one that is missing, which its own host alone knows.
 * Dead and revoked hosts are lost already.
 */
import { Command } from 'commander';
import { ClusterError } from '../core/fault.js';
import { splitSourceId } from '../core/ids.js';
import { type HeldParcel, type Loss, lossesOf, type WorstLoss, worstLoss } from '../core/worst-loss.js';
import type { HostReport } from '../daemon/service.js';
import { countArgument } from './arguments.js';
import type { Context, JsonRecord } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { lossFields, lossLines, parcelsText } from './loss-text.js';
import { presentHosts, presentParcels } from './present-cluster.js';
import type { Run } from './run.js';
import { countText, lineText, tableText } from './text.js';

/** So many of the sources that a loss would take from are named; --json has all. */
const SOURCES_TOLD = 5;

interface SurviveOptions {
  readonly lose?: number;
}

/** A host's number is its place in the list of hosts. */
interface SourcedParcel extends HeldParcel {
  readonly source: string;
}

/** Hosts that may well be lost together: one, or all of a domain. */
interface Unit {
  readonly name: string;
  readonly hosts: readonly number[];
}

interface UnitLoss extends Unit {
  readonly uncopied: Loss;
  readonly lost: Loss;
}

export const surviveCommand = (run: Run): Command =>
  new Command('survive')
    .description(
      'which hosts can be lost, and what would go with them; exit code 20 when so many take something for good, or it is lost already',
    )
    .option('--lose <n>', 'how many at once; default: as many as it takes until something is lost', countArgument)
    .action(run(survive));

async function survive(context: Context, { lose }: SurviveOptions): Promise<ExitCode> {
  const hosts = await presentHosts(context);
  if (lose !== undefined && lose > hosts.length)
    throw new ClusterError(
      'BAD_ARGUMENT',
      `--lose ${lose}: there are ${countText(hosts.length, 'host')} that are not lost yet. Nothing was counted.`,
      { blame: 'operator' },
    );
  const parcels = await parcelsOn(context, hosts);
  const gone = parcels.filter(({ origin, holders }) => origin === undefined && holders.length === 0).length;
  const units = unitsOf(hosts);
  const losses = lossesOf(
    units.map(unit => unit.hosts),
    parcels,
  ).map((loss, at): UnitLoss => ({ ...(units[at] as Unit), ...loss }));
  const worst = lose === undefined ? firstLoss(hosts, parcels) : lossOf(hosts, parcels, lose);
  const nameOf = (number: number): string => hosts[number]?.name ?? String(number);
  const sources = sourcesIn(worst.lost.parcels > 0 ? worst.lost : worst.uncopied, parcels, worst.lost.parcels > 0);
  if (context.json) {
    for (const loss of losses) await context.record(hostLossRecord(loss, nameOf));
    await context.record({ message_type: 'survive', ...lossFields(worst, nameOf), gone, sources });
  } else {
    await context.print(lossTable(context.isTerminal, losses));
    await context.print('');
    if (gone > 0) await context.print(`${countText(gone, 'parcel')} lost already: no host has a copy, and no origin`);
    if (parcels.length === 0) await context.print('no snapshot lists anything yet');
    else if (gone < parcels.length)
      await showWorst(context, { worst, nameOf, sources, isSearched: lose === undefined, isSomeGone: gone > 0 });
  }
  const takesMore = worst.lost.parcels > 0 && worst.lose <= (lose ?? 1);
  return gone > 0 || takesMore ? EXIT.underReplicated : EXIT.ok;
}

async function showWorst(
  context: Context,
  {
    worst,
    nameOf,
    sources,
    isSearched,
    isSomeGone,
  }: {
    readonly worst: WorstLoss;
    readonly nameOf: (host: number) => string;
    readonly sources: readonly SourceLoss[];
    /** It is the first that takes something: fewer hosts take nothing. */
    readonly isSearched: boolean;
    /** Some parcels are lost already. */
    readonly isSomeGone: boolean;
  },
): Promise<void> {
  if (isSearched && worst.exact && worst.lose > 1)
    await context.print(
      `${anyText(worst.lose - 1)} can be lost: nothing ${isSomeGone ? 'more ' : ''}would be gone for good`,
    );
  for (const line of [...lossLines(worst, nameOf), ...sourceLines(sources)]) await context.print(lineText(line));
}

const anyText = (count: number): string => (count === 1 ? 'any one host' : `any ${count} hosts together`);

async function parcelsOn(context: Context, hosts: readonly HostReport[]): Promise<readonly SourcedParcel[]> {
  const numbers = new Map(hosts.map(({ id }, number) => [id, number]));
  const parcels: SourcedParcel[] = [];
  for await (const { bytes, source, sourceId, atOrigin, holders } of presentParcels(context)) {
    parcels.push({
      source,
      bytes,
      origin: atOrigin ? numbers.get(splitSourceId(sourceId).origin) : undefined,
      holders: holders.flatMap(({ host }) => numbers.get(host) ?? []),
    });
  }
  return parcels;
}

function unitsOf(hosts: readonly HostReport[]): readonly Unit[] {
  const domains = new Map<string, number[]>();
  for (const [number, { domain }] of hosts.entries()) domains.set(domain, [...(domains.get(domain) ?? []), number]);
  const alone = hosts.map(({ name }, number): Unit => ({ name, hosts: [number] }));
  const together = [...domains].flatMap(([name, members]): Unit[] =>
    members.length > 1 ? [{ name: `all of ${name}`, hosts: members }] : [],
  );
  return [...alone, ...together];
}

const lossOf = (hosts: readonly HostReport[], parcels: readonly HeldParcel[], lose: number): WorstLoss =>
  worstLoss({ hosts: [...hosts.keys()], lose, parcels });

/** The worst loss of as few hosts as can take something for good, or as few as are too many to examine. */
function firstLoss(hosts: readonly HostReport[], parcels: readonly HeldParcel[]): WorstLoss {
  for (let lose = 1; ; lose += 1) {
    const worst = lossOf(hosts, parcels, lose);
    if (worst.lost.parcels > 0 || !worst.exact || lose >= hosts.length) return worst;
  }
}

interface SourceLoss {
  readonly source: string;
  readonly parcels: number;
  readonly bytes: number;
}

/** What the loss takes, by source, the largest number of parcels first. */
function sourcesIn({ hosts }: Loss, parcels: readonly SourcedParcel[], isForGood: boolean): readonly SourceLoss[] {
  const gone = new Set(hosts);
  const bySource = new Map<string, SourceLoss>();
  for (const { source, bytes, origin, holders } of parcels) {
    const places = isForGood && origin !== undefined ? [...holders, origin] : holders;
    if (places.length === 0 || !places.every(place => gone.has(place))) continue;
    const before = bySource.get(source) ?? { source, parcels: 0, bytes: 0 };
    bySource.set(source, { source, parcels: before.parcels + 1, bytes: before.bytes + bytes });
  }
  return [...bySource.values()].sort((a, b) => b.parcels - a.parcels);
}

// ---------------------------------------------------------------------------------------------------------- text, records

const lossTable = (isTerminal: boolean, losses: readonly UnitLoss[]): string =>
  tableText(
    isTerminal,
    [{ head: 'if this went' }, { head: 'without a copy', align: 'right' }, { head: 'gone for good', align: 'right' }],
    losses.map(({ name, uncopied, lost }) => [name, takenText(uncopied), takenText(lost)]),
  );

const takenText = (loss: Loss): string => (loss.parcels === 0 ? '-' : parcelsText(loss));

function sourceLines(sources: readonly SourceLoss[]): string[] {
  const told = sources.slice(0, SOURCES_TOLD).map(loss => `    ${loss.source}: ${parcelsText(loss)}`);
  const left = sources.length - told.length;
  return left > 0 ? [...told, `    and of ${countText(left, 'more source')}`] : told;
}

const hostLossRecord = ({ name, hosts, uncopied, lost }: UnitLoss, nameOf: (host: number) => string): JsonRecord => ({
  message_type: 'host_loss',
  name,
  hosts: hosts.map(nameOf),
  parcels: uncopied.parcels,
  bytes: uncopied.bytes,
  lost_parcels: lost.parcels,
  lost_bytes: lost.bytes,
});
