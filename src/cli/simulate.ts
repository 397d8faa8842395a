/**
 * `cluster simulate`: what would a cluster do? It runs the service's own decisions in virtual time, on a made-up cluster or,
 * with `--here`, on the shape of this one; nothing real is touched. The simulator, and with it the core, is loaded only when it
 * is to run: loading it took half of every other command's start.
 */
import { access, constants, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Phase, PlanHost, PlanInput, PlanReport } from '../../sim/plan/plan.js';
import type { Timing } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import type { HostReport, PlacementReport } from '../daemon/service.js';
import { readSize, SIZE_ALLOWED } from '../membership/policy-units.js';
import { collected, countArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { lossFields, lossLines } from './loss-text.js';
import { presentHosts, presentParcels } from './present-cluster.js';
import type { Run } from './run.js';
import { coloured, countText, lineText, sizeText, tableText } from './text.js';

export type { PlanReport };

const HOSTS_DEFAULT = 10;
const FILES_DEFAULT = 10_000;
const COPIES_DEFAULT = 2;
const LOSE_DEFAULT = 1;
const SEED_DEFAULT = 42;
const RATE_DEFAULT = 100_000_000;
/** What a picture can show, and what a run ends with in minutes. */
const HOSTS_MAX = 200;
const COPIES_MAX = 32;
/** So many files take a gigabyte however few hosts have them … */
const FILES_MAX = 1_000_000;
/** … and each host knows all parcels: about 35 bytes a file, and so another 4 GB. */
const FILES_TIMES_HOSTS_MAX = 100_000_000;
const SEED_MAX = 2 ** 32 - 1;
/** So often a run says how far it is, and hears signals. */
const PROGRESS_MS = 100;

interface SimulateOptions {
  readonly here?: boolean;
  readonly hosts?: number;
  readonly files?: number;
  readonly copies?: number;
  readonly disks?: readonly number[];
  readonly rate: number;
  readonly lose: number;
  readonly seed: number;
  readonly addHost?: readonly number[];
  readonly remove?: readonly string[];
  readonly svg?: string;
}

export const simulateCommand = (run: Run): Command =>
  new Command('simulate')
    .description('what a cluster would do: layout, bytes moved, time, worst moment, what a loss would take')
    .addOption(
      new Option('--here', "this cluster's hosts, stores and parcels, in place of made-up ones").conflicts([
        'hosts',
        'files',
        'disks',
      ]),
    )
    .option(
      '--hosts <n>',
      `made-up hosts, each of which backs up its share; default: ${HOSTS_DEFAULT}`,
      upTo(HOSTS_MAX),
    )
    .option('--files <n>', `made-up files of log-normal size, all together; default: ${FILES_DEFAULT}`, upTo(FILES_MAX))
    .option(
      '--disks <sizes>',
      'what the hosts lend, in turn: 500GB,4TB,…; default: drawn, for the copies to fill half',
      disksArgument,
    )
    .option(
      '--copies <n>',
      `copies of each file, default: ${COPIES_DEFAULT}; with --here: a change to try`,
      upTo(COPIES_MAX),
    )
    .option('--rate <rate>', 'what each link brings, each way', rateArgument, RATE_DEFAULT)
    .option('--add-host <size>', 'a change to try: one more host that lends so much; may be given again', sizesArgument)
    .option('--remove <host>', 'a change to try: this host is gone for good; may be given again', collected)
    .option('--lose <k>', 'say what would be lost if any K hosts went at once', upTo(HOSTS_MAX), LOSE_DEFAULT)
    .option('--seed <n>', 'the same seed gives the same run', seedArgument, SEED_DEFAULT)
    .option('--svg <file>', 'a picture of copies and fill over time')
    .action(run(simulate));

// -------------------------------------------------------------------------------------------------------------- arguments

function upTo(most: number): (text: string) => number {
  return text => {
    const count = countArgument(text);
    if (count > most) throw new InvalidArgumentError(`allowed: a whole number from 1 to ${most}`);
    return count;
  };
}

function sizeArgument(text: string): number {
  const bytes = readSize(text);
  if (bytes === undefined || bytes === 0) throw new InvalidArgumentError(`allowed: ${SIZE_ALLOWED}`);
  return bytes;
}

const disksArgument = (text: string): readonly number[] => text.split(',').map(sizeArgument);
const sizesArgument = (text: string, before: readonly number[] = []): readonly number[] => [
  ...before,
  sizeArgument(text),
];

function rateArgument(text: string): number {
  const bytes = text.endsWith('/s') ? readSize(text.slice(0, -2)) : undefined;
  if (bytes === undefined || bytes === 0)
    throw new InvalidArgumentError('allowed: a size a second, such as 100MB/s or 12.5 MB/s');
  return bytes;
}

function seedArgument(text: string): number {
  const seed = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(seed <= SEED_MAX)) throw new InvalidArgumentError(`allowed: a whole number from 0 to ${SEED_MAX}`);
  return seed;
}

// ------------------------------------------------------------------------------------------------------------------- work

async function simulate(context: Context, options: SimulateOptions): Promise<ExitCode> {
  const input = await (options.here ? presentInput(context, options) : madeInput(options));
  checkNames(input, options);
  checkLoss(input);
  if (options.svg !== undefined) await needPlace(options.svg);
  const report = await running(context, input);
  if (context.json) for (const record of recordsOf(report)) await context.record(record);
  else await show(context, report, options);
  // Last: what was found in minutes is not lost with a picture that cannot be written after all.
  if (options.svg !== undefined) {
    await writePicture(options.svg, await pictureOf(report, options));
    if (!context.json) await context.print(lineText(`picture: ${options.svg}`));
  }
  return report.phases.at(-1)?.short.parcels === 0 ? EXIT.ok : EXIT.underReplicated;
}

async function running(context: Context, input: PlanInput): Promise<PlanReport> {
  const { runPlan } = await import('../../sim/plan/plan.js');
  // Nothing is written behind the last word of progress, be it the report or that the run was interrupted.
  return runPlan({ ...input, progress: progressOf(context) }).finally(() => tellProgress(''));
}

function progressOf({ signal }: Context): NonNullable<PlanInput['progress']> {
  let toldMs = 0;
  return async (phase, done) => {
    if (Date.now() - toldMs < PROGRESS_MS) return;
    toldMs = Date.now();
    tellProgress(`${lineText(phase)}: ${Math.floor(done * 100)} %`);
    // Signals are heard only between two turns.
    await setImmediate();
    signal.throwIfAborted();
  };
}

function tellProgress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}

/** A run takes minutes; that its picture has no place is better known before. */
async function needPlace(file: string): Promise<void> {
  const option = `--svg ${file}`;
  const found = await stat(resolve(file)).catch(() => undefined);
  if (found?.isDirectory() || file.endsWith('/')) throw refused(option, 'that is a folder, and a file is wanted');
  const mustTake = async (path: string, why: string): Promise<void> => {
    await access(path, constants.W_OK).catch((cause: unknown) => {
      throw refused(option, why, cause);
    });
  };
  if (found !== undefined) await mustTake(file, 'it cannot be written');
  if (found?.isFile() !== false) await mustTake(dirname(await placeOf(file)), 'its folder cannot be written');
}

/** Where a file is, or would be: behind a link it is replaced there. */
const placeOf = (file: string): Promise<string> => realpath(file).catch(() => resolve(file));

/** As a whole or not at all: where a disk is full, nothing is left of it, and an older picture stays. */
async function writePicture(file: string, picture: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  // A pipe or a device takes bytes, and no file may stand in its place.
  if (found?.isFile() === false) return writeFile(file, picture);
  const { writeDurable } = await import('../platform/durable.js');
  await writeDurable(await placeOf(file), picture, { mode: (found?.mode ?? 0o666) & 0o777 });
}

async function madeInput({
  hosts = HOSTS_DEFAULT,
  files = FILES_DEFAULT,
  copies = COPIES_DEFAULT,
  ...options
}: SimulateOptions): Promise<PlanInput> {
  const filesMax = Math.floor(FILES_TIMES_HOSTS_MAX / hosts);
  if (files > filesMax) throw refused(`--files ${files}`, `allowed with ${hosts} hosts: at most ${filesMax}`);
  const { makeCluster } = await import('../../sim/plan/made-cluster.js');
  const { seed, disks, rate } = options;
  const made = makeCluster({ seed, hosts, files, copies, disks });
  return {
    seed,
    hosts: made.disks.map((freeBytes, i): PlanHost => ({ name: `host-${i + 1}`, freeBytes, bytesPerS: rate })),
    fresh: { copies, parcels: made.parcels },
    changes: { addHosts: options.addHost ?? [], remove: options.remove ?? [], copies: undefined },
    lose: options.lose,
    bytesPerS: rate,
  };
}

/** The shape of this cluster, as the service sees it now. */
async function presentInput(context: Context, options: SimulateOptions): Promise<PlanInput> {
  const hosts = await presentHosts(context);
  const parcels: PlacementReport[] = [];
  for await (const parcel of presentParcels(context)) parcels.push(parcel);
  return inputOf({ hosts, parcels, timing: await context.service().timing(context.signal) }, options);
}

interface RealCluster {
  readonly hosts: readonly HostReport[];
  readonly parcels: readonly PlacementReport[];
  readonly timing: Timing;
}

const inputOf = ({ hosts, parcels, timing }: RealCluster, options: SimulateOptions): PlanInput => ({
  seed: options.seed,
  hosts: hosts.map(host => hostOf(host, options.rate)),
  present: parcels.map(({ parcel, key, bytes, sourceId, atOrigin, want, holders }) => ({
    ref: { id: parcel, key, bytes },
    source: sourceId,
    isNewest: atOrigin,
    copiesWanted: want,
    holders,
  })),
  usedBytes: new Map(
    hosts.flatMap(({ stores }) => stores.flatMap(({ id, usedBytes }) => (id === undefined ? [] : [[id, usedBytes]]))),
  ),
  timing,
  changes: { addHosts: options.addHost ?? [], remove: options.remove ?? [], copies: options.copies },
  lose: options.lose,
  bytesPerS: options.rate,
});

/** What comes of a cluster with these hosts, parcels and holders, until nothing moves any longer. */
export async function simulateReal(context: Context, cluster: RealCluster): Promise<PlanReport> {
  return running(context, inputOf(cluster, { rate: RATE_DEFAULT, lose: LOSE_DEFAULT, seed: SEED_DEFAULT }));
}

function hostOf({ id, name, domain, roaming, trust, state, stores }: HostReport, bytesPerS: number): PlanHost {
  const lends = stores.flatMap(({ id: store, mounted, draining, lentBytes }) =>
    mounted && draining !== true && store !== undefined ? [{ id: store, lentBytes }] : [],
  );
  const memberState = state === 'provisional' || state === 'draining' ? state : 'active';
  return { id, name, domain, roaming, trust, state: memberState, lends, bytesPerS };
}

function checkNames({ hosts, changes }: PlanInput, { here }: SimulateOptions): void {
  for (const name of changes.remove) {
    if (hosts.some(host => host.name === name)) continue;
    const known = here ? hosts.map(host => host.name).join(', ') : `host-1 to host-${hosts.length}`;
    throw refused(`--remove ${name}`, `no such host; there are: ${known}`);
  }
  if (hostsLeft({ hosts, changes }) === 0) throw refused('--remove', 'no host would be left');
}

function checkLoss({ hosts, changes, lose }: PlanInput): void {
  const left = hostsLeft({ hosts, changes });
  if (lose > left) throw refused(`--lose ${lose}`, `there would be ${countText(left, 'host')} in the end`);
}

const hostsLeft = ({ hosts, changes }: Pick<PlanInput, 'hosts' | 'changes'>): number =>
  hosts.length + changes.addHosts.length - new Set(changes.remove).size;

const refused = (option: string, why: string, cause?: unknown): ClusterError =>
  new ClusterError('BAD_ARGUMENT', `${option}: ${why}. Nothing was simulated.`, { blame: 'operator', cause });

// ------------------------------------------------------------------------------------------------------------------- text

const headline = ({ hosts, parcels, bytes, copies }: PlanReport): string =>
  `${countText(hosts.filter(({ gone }) => !gone).length, 'host')}, ${countText(parcels, 'parcel')}, ${sizeText(bytes)}, ${countText(copies, 'copy', 'copies')} wanted`;

async function show(context: Context, report: PlanReport, { seed, rate }: SimulateOptions): Promise<void> {
  await context.print(`${headline(report)} · links of ${sizeText(rate)}/s · seed ${seed}`);
  await context.print('');
  await context.print(
    tableText(
      context.isTerminal,
      [
        { head: 'host' },
        { head: 'lent', align: 'right' },
        { head: 'used', align: 'right' },
        { head: 'full', align: 'right' },
        { head: 'copies', align: 'right' },
      ],
      report.hosts.map(({ name, lentBytes, usedBytes, copies, gone }) => [
        gone ? `${name} (gone)` : name,
        sizeText(lentBytes),
        sizeText(usedBytes),
        lentBytes === 0 ? '-' : `${Math.round((100 * usedBytes) / lentBytes)} %`,
        String(copies),
      ]),
    ),
  );
  for (const phase of report.phases) {
    await context.print('');
    for (const line of phaseLines(phase)) await context.print(line);
  }
  await context.print('');
  for (const line of lossLines(report.loss, nameIn(report))) await context.print(lineText(line));
}

const nameIn =
  ({ hosts }: PlanReport) =>
  (number: number): string =>
    hosts[number]?.name ?? String(number);

export function phaseLines(phase: Phase): string[] {
  const { what, movedBytes, boundMs, worst, short, overParcels } = phase;
  const tookMs = phase.endMs - phase.startMs;
  const lines = [coloured('bold', lineText(what))];
  if (movedBytes === 0) lines.push('  nothing was moved');
  else if (Number.isFinite(boundMs)) {
    const ratio = boundMs > 0 ? `, ${(tookMs / boundMs).toFixed(2)} times` : '';
    lines.push(
      `  moved ${sizeText(movedBytes)} in ${longSpan(tookMs)}${ratio}${boundMs > 0 ? ` what the links need (${longSpan(boundMs)})` : ''}`,
    );
  } else lines.push(`  moved ${sizeText(movedBytes)} in ${longSpan(tookMs)}; there is not room for all`);
  lines.push(
    `  worst moment: ${countText(worst.parcels, 'parcel')} with ${worst.copies === 0 ? 'no copy' : countText(worst.copies, 'copy', 'copies')}, ${longSpan(worst.atMs - phase.startMs)} after the start`,
  );
  if (short.parcels > 0) {
    lines.push(coloured('red', `  in the end copies of ${countText(short.parcels, 'parcel')} are missing:`));
    for (const line of shortLines(short)) lines.push(`    ${line}`);
  }
  if (overParcels > 0) lines.push(`  in the end there is a copy too many of ${countText(overParcels, 'parcel')}`);
  return lines;
}

function shortLines({ placeless, makeableBytes, gone }: Phase['short']): string[] {
  const lines = [];
  if (placeless !== undefined) {
    const { parcels, wanted, domains } = placeless;
    lines.push(
      `too few hosts or domains for ${countText(parcels, 'parcel')}: ${wanted} wanted, ${domains} can take one`,
    );
  }
  if (makeableBytes > 0) lines.push(`${sizeText(makeableBytes)} more would have to fit somewhere`);
  if (gone > 0) lines.push(`${countText(gone, 'parcel')} lost: no copy is left, and no origin has them`);
  return lines;
}

/** Two units: `2 h 10 min`, `45 s`. */
function longSpan(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

// ------------------------------------------------------------------------------------------------------- records, picture

type PlanRecord = { readonly message_type: string } & Readonly<Record<string, unknown>>;

export const phaseRecord = (phase: Phase): PlanRecord => ({
  message_type: 'plan_phase',
  what: phase.what,
  moved: phase.movedBytes,
  seconds: (phase.endMs - phase.startMs) / 1000,
  // JSON has no Infinity; it stands for: not all of it fits.
  bound_seconds: Number.isFinite(phase.boundMs) ? phase.boundMs / 1000 : null,
  worst: { ...phase.worst, atMs: undefined, seconds: (phase.worst.atMs - phase.startMs) / 1000 },
  short: phase.short.parcels,
  short_bytes: phase.short.bytes,
  makeable_bytes: phase.short.makeableBytes,
  placeless: phase.short.placeless ?? null,
  gone: phase.short.gone,
  over: phase.overParcels,
});

function recordsOf(report: PlanReport): PlanRecord[] {
  const { loss, hosts } = report;
  return [
    ...hosts.map(({ name, lentBytes, usedBytes, copies, gone }) => ({
      message_type: 'plan_host',
      name,
      lent: lentBytes,
      used: usedBytes,
      copies,
      gone,
    })),
    ...report.phases.map(phaseRecord),
    { message_type: 'plan_loss', ...lossFields(loss, nameIn(report)) },
    {
      message_type: 'plan',
      seed: report.seed,
      parcels: report.parcels,
      bytes: report.bytes,
      copies: report.copies,
    },
  ];
}

async function pictureOf(report: PlanReport, { seed, rate }: SimulateOptions): Promise<string> {
  const { draw } = await import('../../sim/plan/picture.js');
  const moved = report.phases.reduce((sum, { movedBytes }) => sum + movedBytes, 0);
  const tookMs = report.phases.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0);
  return draw({
    title: headline(report),
    subtitle: `${sizeText(moved)} moved in ${longSpan(tookMs)} over links of ${sizeText(rate)}/s · seed ${seed}`,
    copiesWanted: report.copies,
    hosts: report.hosts.map(({ name, lentBytes }) => ({ name, lent: sizeText(lentBytes) })),
    marks: report.phases.map(({ what, startMs }) => ({ atMs: startMs, text: what })),
    frames: report.frames,
  });
}
