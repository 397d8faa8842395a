/**
 * `cluster config plan FILE`: what `config apply` would do with a policy: what it changes, what it would ask about, and
 * what would move. The hosts' own decisions say the last, in virtual time, as in `cluster simulate --here`. Nothing is changed.
 */
import type { ConfigPlanReport, PlacementReport } from '../daemon/service.js';
import type { Context, JsonRecord } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { presentHosts, presentParcels } from './present-cluster.js';
import type { PlanReport } from './simulate.js';
import { countText, lineText, sizeText, tableText } from './text.js';

type Moves = NonNullable<ConfigPlanReport['moves']>;

/** What a host has before and after. */
interface HostMove {
  readonly host: string;
  readonly copies: number;
  readonly copiesThen: number;
  readonly usedBytes: number;
  readonly usedBytesThen: number;
}

/** A source of which another number of copies is wanted. */
interface CopiesChange {
  readonly source: string;
  readonly want: number;
  readonly wantThen: number;
  readonly parcels: number;
  readonly bytes: number;
}

export async function planConfig(
  context: Context,
  policy: { readonly text: string; readonly fileName: string },
): Promise<ExitCode> {
  const report = await context.service().configPlan(policy, context.signal);
  await tellChanges(context, report);
  return report.moves === undefined ? EXIT.ok : tellMoves(context, report.moves);
}

async function tellChanges(context: Context, report: ConfigPlanReport): Promise<void> {
  const { changed, changes, losses, warnings, moves } = report;
  if (context.json)
    return context.record({
      message_type: 'config_plan',
      changed,
      changes,
      losses,
      warnings,
      guesses: moves?.guesses ?? [],
      needs_yes: losses.length > 0,
      moves: moves !== undefined,
    });
  if (changed)
    await context.print(changes.length === 0 ? 'only how the policy is written' : lineText(changes.join('; ')));
  else await context.print('this policy is in force already');
  if (losses.length > 0) await context.print("'cluster config apply' asks for --yes, because:");
  for (const loss of losses) await context.printText(`  ${lineText(loss)}`);
  for (const warning of warnings) await context.printText(lineText(warning));
  if (moves === undefined) await context.print('no copy would be made or dropped because of it');
  for (const guess of moves?.guesses ?? []) await context.printText(lineText(guess));
}

async function tellMoves(context: Context, { hosts, copies, timing }: Moves): Promise<ExitCode> {
  const there = new Set((await presentHosts(context)).map(({ id }) => id));
  const wanted = new Map(copies.map(({ source, copies: want }) => [source, want]));
  const now: PlacementReport[] = [];
  for await (const parcel of presentParcels(context)) now.push(parcel);
  const parcels = now.map(parcel => ({ ...parcel, want: wanted.get(parcel.sourceId) ?? parcel.want }));
  const { phaseLines, phaseRecord, simulateReal } = await import('./simulate.js');
  const then = await simulateReal(context, { hosts: hosts.filter(({ id }) => there.has(id)), parcels, timing });
  const [phase] = then.phases;
  const moves = await movesOf(context, { now, then });
  const changes = copiesChanges(now, parcels);
  if (context.json) {
    for (const change of changes) await context.record(copiesRecord(change));
    for (const move of moves) await context.record(moveRecord(move));
    if (phase !== undefined) await context.record({ ...phaseRecord(phase), what: WHAT });
  } else {
    for (const change of changes) await context.print(copiesText(change));
    await context.print('');
    await context.print(movesTable(context, moves));
    await context.print('');
    if (phase !== undefined) for (const line of phaseLines({ ...phase, what: WHAT })) await context.print(line);
  }
  return (phase?.short.parcels ?? 0) > 0 ? EXIT.underReplicated : EXIT.ok;
}

const WHAT = 'until all is as the policy wants it, with what is under way now';

async function movesOf(
  context: Context,
  { now, then }: { readonly now: readonly PlacementReport[]; readonly then: Pick<PlanReport, 'hosts'> },
): Promise<readonly HostMove[]> {
  const held = new Map<string, number>();
  for (const { holders } of now) for (const { host } of holders) held.set(host, (held.get(host) ?? 0) + 1);
  const after = new Map(then.hosts.map(host => [host.name, host]));
  return (await presentHosts(context)).map(({ id, name, stores }) => ({
    host: name,
    copies: held.get(id) ?? 0,
    copiesThen: after.get(name)?.copies ?? 0,
    usedBytes: stores.reduce((sum, store) => sum + store.usedBytes, 0),
    usedBytesThen: after.get(name)?.usedBytes ?? 0,
  }));
}

function copiesChanges(now: readonly PlacementReport[], then: readonly PlacementReport[]): readonly CopiesChange[] {
  const changes = new Map<string, CopiesChange>();
  for (const [n, { source, want, bytes }] of now.entries()) {
    const wantThen = then[n]?.want ?? want;
    if (wantThen === want) continue;
    const before = changes.get(source) ?? { source, want, wantThen, parcels: 0, bytes: 0 };
    changes.set(source, { ...before, parcels: before.parcels + 1, bytes: before.bytes + bytes });
  }
  return [...changes.values()];
}

// ---------------------------------------------------------------------------------------------------------- text, records

const copiesText = ({ source, want, wantThen, parcels, bytes }: CopiesChange): string =>
  `${source}: ${wantThen} copies of each parcel in place of ${want}: ${countText(parcels, 'parcel')}, ${sizeText(bytes)}`;

const movesTable = (context: Context, moves: readonly HostMove[]): string =>
  tableText(
    context.isTerminal,
    [
      { head: 'host' },
      { head: 'copies', align: 'right' },
      { head: 'then', align: 'right' },
      { head: 'used', align: 'right' },
      { head: 'then', align: 'right' },
    ],
    moves.map(({ host, copies, copiesThen, usedBytes, usedBytesThen }) => [
      host,
      String(copies),
      changeText(copies, copiesThen, String),
      sizeText(usedBytes),
      changeText(usedBytes, usedBytesThen, sizeText),
    ]),
  );

const changeText = (before: number, after: number, text: (count: number) => string): string =>
  before === after ? 'the same' : `${text(after)} (${after > before ? '+' : '−'}${text(Math.abs(after - before))})`;

const copiesRecord = ({ source, want, wantThen, parcels, bytes }: CopiesChange): JsonRecord => ({
  message_type: 'plan_copies',
  source,
  copies: want,
  copies_then: wantThen,
  parcels,
  bytes,
});

const moveRecord = ({ host, copies, copiesThen, usedBytes, usedBytesThen }: HostMove): JsonRecord => ({
  message_type: 'plan_move',
  host,
  copies,
  copies_then: copiesThen,
  used: usedBytes,
  used_then: usedBytesThen,
});
