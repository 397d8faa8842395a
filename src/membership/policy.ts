/**
 * Policy: the YAML that says what the cluster shall do. Which folders, how many copies, which disks lend how much.
 *
 * `parsePolicy` reads text into a whole with every default filled in, or says all that is wrong with it: file, line,
 * column, key, the bad value and what is allowed. Unknown keys are errors: a misspelt `copeis` must not cost copies.
 * Hosts that are no members yet are allowed with a warning, since a machine may be configured before it joins.
 *
 * Pure. Read by the command line before anything is sent, and by every host for each version of the configuration: the
 * text comes from peers then, so anchors, tags and all that lets a small text grow are refused.
 */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { DEFAULT_TIMING, HOSTS_MAX, type Timing } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import {
  type KeepInput,
  NAME_ALLOWED,
  type PolicyInput,
  policySchema,
  SOURCES_MAX,
  type TimingInput,
} from './policy-schema.js';
import { durationText } from './policy-units.js';
import type { Schedule } from './schedule.js';

/** A policy's text. A host's section is some 500 bytes; this is room for 500 hosts. */
export const POLICY_BYTES_MAX = 256 * 1024;
/** Problems told at once; the rest is usually a consequence. */
const PROBLEMS_MAX = 20;
const BAD_VALUE_CHARACTERS_MAX = 60;

/** How many snapshots of each kind retention keeps; 0 keeps none of that kind. */
export interface KeepRules {
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
}

export type Lending =
  /** Use at most this much of the disk. */
  | { readonly kind: 'limit'; readonly bytes: number }
  /** Leave at least this much of the disk free. */
  | { readonly kind: 'reserve'; readonly bytes: number }
  /** Leave at least this share of the whole disk free. Percent, 0 to 99. Default: 10. */
  | { readonly kind: 'reserve-share'; readonly percent: number };

export interface StoreSetting {
  readonly path: string;
  readonly name: string | undefined;
  readonly lends: Lending;
}

export interface SourceSetting {
  readonly name: string;
  readonly path: string;
  readonly copies: number;
  readonly schedule: Schedule;
  /** A snapshot also after each change. */
  readonly watch: boolean;
  /** Its snapshots are late by a constant share of this. */
  readonly jitterMs: number;
  /** Patterns as in .gitignore, relative to the source's root. */
  readonly exclude: readonly string[];
  readonly keep: KeepRules;
  /** Days for which holders keep a snapshot whatever later heads say. Undefined: the catalog's own rule. */
  readonly holdDays: number | undefined;
  /** Where more than this share of the files left or changed at once, in percent, retention stops until a person has looked. */
  readonly brakePercent: number;
  /** Names of programs in the hooks folder of the source's host. */
  readonly hooks: {
    readonly before: string | undefined;
    readonly after: string | undefined;
    readonly onFailure: string | undefined;
    /** Of each of them. */
    readonly timeoutMs: number;
  };
  readonly crossMounts: boolean;
}

export interface HostSetting {
  readonly name: string;
  readonly domain: string | undefined;
  readonly roaming: boolean;
  /**
   * `full`: keep the records of all parcels. `ask`: only those of own copies and sources. Undefined: full where the state
   * folder's disk is large enough.
   */
  readonly catalog: 'full' | 'ask' | undefined;
  /** Multiaddrs that stand instead of those the host joined with. Undefined: none given. */
  readonly addresses: readonly string[] | undefined;
  readonly stores: readonly StoreSetting[];
  readonly sources: readonly SourceSetting[];
  readonly limits: LimitsSetting;
}

/** What a host may send and take in fetches, in bytes a second. Undefined: as fast as can be. */
export interface RatesSetting {
  readonly uploadBytesPerS: number | undefined;
  readonly downloadBytesPerS: number | undefined;
}

/** To and from all others together, and of single hosts, by name, what is less. */
export interface LimitsSetting extends RatesSetting {
  readonly peers: ReadonlyMap<string, RatesSetting>;
}

export interface Policy {
  /** The cluster's name, for people. Its id is what counts. */
  readonly cluster: string;
  readonly copies: number;
  readonly hosts: ReadonlyMap<string, HostSetting>;
  readonly timing: Timing;
}

/** One thing that is wrong. `line` and `column` count from 1. */
export interface PolicyProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `hosts.imac.stores.0.limit`; empty for what concerns the whole text. */
  readonly key: string;
  readonly what: string;
}

export class PolicyError extends ClusterError {
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[], more: number) {
    const lines = problems.map(problemText);
    if (more > 0) lines.push(`… and ${more} more`);
    super('POLICY_INVALID', lines.join('\n'), { blame: 'operator' });
    this.problems = problems;
  }
}

const problemText = ({ file, line, column, key, what }: PolicyProblem): string =>
  `${file}:${line}:${column}: ${key === '' ? '' : `${key}: `}${what}`;

export interface PolicyReading {
  readonly policy: Policy;
  /** What is allowed but looks like a slip: one line each. */
  readonly warnings: readonly string[];
}

const DEFAULT_COPIES = 2;
const DEFAULT_EVERY_MS = 3_600_000;
const DEFAULT_JITTER_MS = 120_000;
const DEFAULT_RESERVE_PERCENT = 10;
const DEFAULT_BRAKE_PERCENT = 50;
const DEFAULT_HOOK_TIMEOUT_MS = 600_000;
const DEFAULT_KEEP: KeepRules = { last: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 0 };

type KeyPath = readonly (string | number)[];

/**
 * Reads a policy. `file` is what positions are told in (default: `policy`). With `members` (names), host sections that
 * belong to nobody are warned of. `isSigned`: it is in force already, or was; a time below its floor is read as the floor,
 * for a floor that came with a later release must make no version unreadable.
 *
 * @throws PolicyError POLICY_INVALID, with every problem found up to 20.
 */
export function parsePolicy(
  text: string,
  {
    file = 'policy',
    members,
    isSigned = false,
  }: { readonly file?: string; readonly members?: Iterable<string>; readonly isSigned?: boolean } = {},
): PolicyReading {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > POLICY_BYTES_MAX) {
    const what = `${sizeBytes} bytes are too many; allowed: at most ${POLICY_BYTES_MAX}`;
    throw new PolicyError([{ file, line: 1, column: 1, key: '', what }], 0);
  }
  const lines = new LineCounter();
  const document = readDocument(text, lines);
  const report = new Report(file, lines, document);

  for (const flaw of [...document.errors, ...document.warnings]) report.at(flaw.pos[0], '', flaw.message);
  report.end();
  refuseMachinery(document, report);
  report.end();

  const read = policySchema.safeParse(document.toJS({ maxAliasCount: 0 }));
  if (!read.success) {
    for (const issue of read.error.issues) reportIssue(issue, report);
    report.end();
  }
  const input = read.data as PolicyInput; // `end` has thrown unless it succeeded
  reportMeaning(input, report);
  if (!isSigned) reportTiming(input.timing ?? {}, report);
  report.end();

  const policy = resolve(input);
  return { policy, warnings: members === undefined ? [] : warnOfStrangers(policy, new Set(members)) };
}

/** What is said of hosts that are no members: it takes effect when one of that name joins, or never if the name is a slip. */
function warnOfStrangers({ hosts }: Policy, members: ReadonlySet<string>): readonly string[] {
  const isStranger = (name: string): boolean => !members.has(name);
  const sections = [...hosts.keys()]
    .filter(isStranger)
    .map(
      name => `hosts.${name} is no member of this cluster yet: its section takes effect when a host of that name joins`,
    );
  const rates = [...hosts.values()].flatMap(({ name, limits }) =>
    [...limits.peers.keys()]
      .filter(isStranger)
      .map(peer => `hosts.${name}.limits.peers.${peer} is no member of this cluster yet: it limits nobody`),
  );
  return [...sections, ...rates];
}

/** One YAML document of the core schema, with nothing printed and nothing thrown. */
export function readDocument(text: string, lines?: LineCounter): Document.Parsed {
  return parseDocument(text, { prettyErrors: false, ...(lines === undefined ? {} : { lineCounter: lines }) });
}

class Report {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #document: Document.Parsed;
  readonly #problems: PolicyProblem[] = [];

  constructor(file: string, lines: LineCounter, document: Document.Parsed) {
    this.#file = file;
    this.#lines = lines;
    this.#document = document;
  }

  /** A problem at a place in the text, by its offset. */
  at(offset: number, key: string, what: string): void {
    const { line, col } = this.#lines.linePos(offset);
    // Offset 0 of an empty text is line 0 to the counter.
    this.#problems.push({ file: this.#file, line: Math.max(1, line), column: Math.max(1, col), key, what });
  }

  /** A problem with the value under a key, told where the value stands, or where its nearest parent does. */
  value(path: KeyPath, allowed: string): void {
    const { offset, text } = this.#place(path);
    const what = text === undefined ? 'missing' : `bad value ${text}`;
    this.at(offset, path.join('.'), `${what}; allowed: ${allowed}`);
  }

  /** Any other problem with a key's value. */
  about(path: KeyPath, what: string): void {
    this.at(this.#place(path).offset, path.join('.'), what);
  }

  /** A problem with a key itself. */
  key(path: KeyPath, what: string): void {
    const parent = this.#node(path.slice(0, -1));
    const pair = isMap(parent) ? parent.items.find(item => keyText(item.key) === String(path.at(-1))) : undefined;
    const offset = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    this.at(offset ?? this.#place(path).offset, path.join('.'), what);
  }

  /** @throws PolicyError when anything was reported. */
  end(): void {
    if (this.#problems.length === 0) return;
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    throw new PolicyError(sorted.slice(0, PROBLEMS_MAX), Math.max(0, sorted.length - PROBLEMS_MAX));
  }

  #node(path: KeyPath): unknown {
    let node: unknown = this.#document.contents;
    for (const step of path) {
      if (isMap(node)) node = node.items.find(item => keyText(item.key) === String(step))?.value;
      else if (isSeq(node) && typeof step === 'number') node = node.items[step];
      else return undefined;
    }
    return node;
  }

  #place(path: KeyPath): { readonly offset: number; readonly text: string | undefined } {
    for (let length = path.length; length >= 0; length--) {
      const node = this.#node(path.slice(0, length));
      if (!isNode(node) || node.range === undefined || node.range === null) continue;
      if (length < path.length) return { offset: node.range[0], text: undefined };
      return { offset: node.range[0], text: shown(isScalar(node) ? node.value : node.toString()) };
    }
    return { offset: 0, text: undefined };
  }
}

const keyText = (key: unknown): string => String(isScalar(key) ? key.value : key);

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > BAD_VALUE_CHARACTERS_MAX ? `${text.slice(0, BAD_VALUE_CHARACTERS_MAX)}…` : text;
}

/** Anchors, aliases, tags and keys that are no plain words: a policy needs none, and each lets a text mean more than it shows. */
function refuseMachinery(document: Document.Parsed, report: Report): void {
  visit(document, {
    Node(_, node) {
      if (isAlias(node))
        report.at(node.range?.[0] ?? 0, '', `aliases (*${node.source}) are not allowed; write the value out`);
      else if (node.anchor !== undefined) {
        report.at(node.range?.[0] ?? 0, '', `anchors (&${node.anchor}) are not allowed; write the value out`);
      } else if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) {
        report.at(node.range?.[0] ?? 0, '', `tags (${node.tag}) are not allowed`);
      }
    },
    Pair(_, pair) {
      const plain = isScalar(pair.key) && typeof pair.key.value === 'string';
      const offset = isNode(pair.key) ? (pair.key.range?.[0] ?? 0) : 0;
      // zod passes over this one key in silence, as it is no safe property name.
      if (!plain || keyText(pair.key) === '__proto__')
        report.at(offset, '', 'this key is not allowed; keys are plain words (a number as a name wants quotes)');
    },
  });
}

function reportIssue(issue: z.core.$ZodIssue, report: Report): void {
  const path = issue.path.map(step => (typeof step === 'symbol' ? String(step) : step));
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) {
        report.key([...path, key], `unknown key; allowed: ${keysAllowed(path)}`);
      }
      return;
    case 'invalid_key':
      report.key(path, `bad name; allowed: ${NAME_ALLOWED}`);
      return;
    default:
      report.value(path, issue.message);
  }
}

/** The keys of the map at a path, as the schema has them. */
function keysAllowed(path: KeyPath): string {
  const source =
    'path, copies, every, at, watch, jitter, exclude, keep, hold, brake, before, after, onFailure, hookTimeout, crossMounts';
  const keep = 'last, hourly, daily, weekly, monthly, yearly';
  const [top, , inHost] = path;
  if (path.length === 0) return 'cluster, defaults, hosts, timing';
  if (path.at(-1) === 'keep' && path.length !== 4) return keep;
  if (top === 'defaults') return 'copies, every, jitter, keep, hold';
  if (top === 'timing') return TIMING_KEYS.join(', ');
  if (path.length === 2) return 'domain, roaming, catalog, addresses, stores, sources, limits';
  if (inHost === 'limits') return path.length === 3 ? 'upload, download, peers' : 'upload, download';
  return inHost === 'stores' ? 'path, name, limit, reserve' : source;
}

/** What the shape alone does not say. */
function reportMeaning(input: PolicyInput, report: Report): void {
  if (Object.keys(input.hosts ?? {}).length > HOSTS_MAX)
    report.about(['hosts'], `too many hosts; allowed: at most ${HOSTS_MAX}`);
  reportKeep(input.defaults?.keep, ['defaults', 'keep'], report);

  for (const [name, host] of Object.entries(input.hosts ?? {})) {
    const at: KeyPath = ['hosts', name];
    const stores = host?.stores ?? [];
    const sources = Object.entries(host?.sources ?? {});
    stores.forEach((store, index) => {
      const place = [...at, 'stores', index];
      if (store.limit !== undefined && store.reserve !== undefined) {
        report.about(
          [...place, 'reserve'],
          'limit and reserve exclude each other; allowed: one of them, or none for reserve 10%',
        );
      }
      const before = stores.slice(0, index);
      if (before.some(other => folder(other.path) === folder(store.path))) {
        report.about([...place, 'path'], `${shown(store.path)} is already a store of this host`);
      } else if (before.some(other => isInside(store.path, other.path) || isInside(other.path, store.path))) {
        report.about(
          [...place, 'path'],
          `${shown(store.path)} and another store of this host lie one inside the other`,
        );
      }
      if (store.name !== undefined && before.some(other => other.name === store.name)) {
        report.about([...place, 'name'], `${shown(store.name)} is already the name of a store of this host`);
      }
    });
    if (sources.length > SOURCES_MAX)
      report.about([...at, 'sources'], `too many sources; allowed: at most ${SOURCES_MAX} a host`);
    for (const [sourceName, source] of sources) {
      const place = [...at, 'sources', sourceName];
      reportKeep(source.keep, [...place, 'keep'], report);
      if (source.every !== undefined && source.at !== undefined)
        report.about([...place, 'at'], 'every and at exclude each other; allowed: one of them, or none for every 1h');
      const around = stores.find(
        store => folder(store.path) === folder(source.path) || isInside(source.path, store.path),
      );
      if (around !== undefined) {
        report.about(
          [...place, 'path'],
          `${shown(source.path)} lies in this host's store ${shown(around.path)}; a source in a store would back itself up`,
        );
      }
    }
  }
}

const folder = (path: string): string => path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '');
const isInside = (path: string, outer: string): boolean =>
  folder(path).startsWith(`${folder(outer).replace(/\/$/, '')}/`);

function reportKeep(keep: KeepInput | undefined, path: KeyPath, report: Report): void {
  if (keep !== undefined && !Object.values(keep).some(count => (count ?? 0) > 0)) {
    report.about(path, 'keeps nothing; allowed: at least one of last, hourly, daily, weekly, monthly, yearly above 0');
  }
}

interface Floor {
  readonly key: keyof TimingInput;
  readonly leastMs: (timing: Timing) => number;
  /** What it is counted in, for people. */
  readonly why: string;
}

/** What is counted in another time comes after it. */
const FLOORS: readonly Floor[] = [
  { key: 'heartbeat', leastMs: () => 100, why: '' },
  { key: 'suspect', leastMs: ({ heartbeatMs }) => 3 * heartbeatMs, why: ' (3 heartbeats)' },
  { key: 'dead', leastMs: ({ suspectMs }) => 2 * suspectMs, why: ' (2 × suspect)' },
  { key: 'deadMax', leastMs: ({ deadMs }) => deadMs, why: ' (dead)' },
  { key: 'claimWait', leastMs: () => 20, why: '' },
  // What ends, or comes again, after no time at all would have hosts do nothing else.
  { key: 'claim', leastMs: () => 1_000, why: '' },
  { key: 'dropBackOff', leastMs: () => 100, why: '' },
  { key: 'scrub', leastMs: () => 1_000, why: '' },
];

function reportTiming(input: TimingInput, report: Report): void {
  const timing = resolveTiming(input);
  for (const { key, leastMs, why } of FLOORS) {
    const floorMs = leastMs(timing);
    if (timing[`${key}Ms`] < floorMs) report.value(['timing', key], `at least ${durationText(floorMs)}${why}`);
  }
}

function raisedToFloors(timing: Timing): Timing {
  let raised = timing;
  for (const { key, leastMs } of FLOORS) {
    const name = `${key}Ms` as const;
    raised = { ...raised, [name]: Math.max(raised[name], leastMs(raised)) };
  }
  return raised;
}

const ratesOf = (
  rates: { upload?: number | undefined; download?: number | undefined } | null | undefined,
): RatesSetting => ({
  uploadBytesPerS: rates?.upload,
  downloadBytesPerS: rates?.download,
});

function resolve(input: PolicyInput): Policy {
  const { defaults } = input;
  const hosts = new Map<string, HostSetting>();
  for (const [name, host] of Object.entries(input.hosts ?? {})) {
    hosts.set(name, {
      name,
      domain: host?.domain,
      roaming: host?.roaming ?? false,
      catalog: host?.catalog,
      addresses: host?.addresses ?? undefined,
      limits: {
        ...ratesOf(host?.limits),
        peers: new Map(Object.entries(host?.limits?.peers ?? {}).map(([peer, rates]) => [peer, ratesOf(rates)])),
      },
      stores: (host?.stores ?? []).map(({ path, name: storeName, limit, reserve }) => ({
        path,
        name: storeName,
        lends: lending(limit, reserve),
      })),
      sources: Object.entries(host?.sources ?? {}).map(([sourceName, source]) => ({
        name: sourceName,
        path: source.path,
        copies: source.copies ?? defaults?.copies ?? DEFAULT_COPIES,
        schedule:
          source.at === undefined
            ? { kind: 'every', everyMs: source.every ?? defaults?.every ?? DEFAULT_EVERY_MS }
            : { kind: 'at', times: source.at },
        watch: source.watch ?? false,
        jitterMs: source.jitter ?? defaults?.jitter ?? DEFAULT_JITTER_MS,
        exclude: source.exclude ?? [],
        keep: resolveKeep(source.keep ?? defaults?.keep),
        holdDays: source.hold ?? defaults?.hold,
        brakePercent: source.brake ?? DEFAULT_BRAKE_PERCENT,
        hooks: {
          before: source.before,
          after: source.after,
          onFailure: source.onFailure,
          timeoutMs: source.hookTimeout ?? DEFAULT_HOOK_TIMEOUT_MS,
        },
        crossMounts: source.crossMounts ?? false,
      })),
    });
  }
  return {
    cluster: input.cluster,
    copies: defaults?.copies ?? DEFAULT_COPIES,
    hosts,
    timing: raisedToFloors(resolveTiming(input.timing ?? {})),
  };
}

function lending(
  limitBytes: number | undefined,
  reserve: { bytes: number } | { percent: number } | undefined,
): Lending {
  if (limitBytes !== undefined) return { kind: 'limit', bytes: limitBytes };
  if (reserve !== undefined && 'bytes' in reserve) return { kind: 'reserve', bytes: reserve.bytes };
  return { kind: 'reserve-share', percent: reserve?.percent ?? DEFAULT_RESERVE_PERCENT };
}

/** A `keep` that is given stands alone: what it does not name is 0, as with restic. */
function resolveKeep(keep: KeepInput | undefined): KeepRules {
  if (keep === undefined) return DEFAULT_KEEP;
  const { last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0 } = keep;
  return { last, hourly, daily, weekly, monthly, yearly };
}

const TIMING_KEYS = Object.keys(DEFAULT_TIMING).map(key => key.slice(0, -'Ms'.length));

/** Defaults of `suspect`, `dead` and `deadMax` stretch with what they are counted in, so that one long key alone is no error. */
function resolveTiming(input: TimingInput): Timing {
  const heartbeatMs = input.heartbeat ?? DEFAULT_TIMING.heartbeatMs;
  const suspectMs = input.suspect ?? 6 * heartbeatMs;
  const deadMs = input.dead ?? Math.max(DEFAULT_TIMING.deadMs, 2 * suspectMs);
  return {
    heartbeatMs,
    heartbeatPerHostMs: input.heartbeatPerHost ?? DEFAULT_TIMING.heartbeatPerHostMs,
    suspectMs,
    redialMs: input.redial ?? DEFAULT_TIMING.redialMs,
    deadMs,
    roamingDeadMs: input.roamingDead ?? DEFAULT_TIMING.roamingDeadMs,
    deadMaxMs: input.deadMax ?? Math.max(DEFAULT_TIMING.deadMaxMs, deadMs),
    lastPlaceMs: input.lastPlace ?? DEFAULT_TIMING.lastPlaceMs,
    claimWaitMs: input.claimWait ?? DEFAULT_TIMING.claimWaitMs,
    stepMs: input.step ?? DEFAULT_TIMING.stepMs,
    repairStepMs: input.repairStep ?? DEFAULT_TIMING.repairStepMs,
    claimMs: input.claim ?? DEFAULT_TIMING.claimMs,
    surplusMs: input.surplus ?? DEFAULT_TIMING.surplusMs,
    regrabMs: input.regrab ?? DEFAULT_TIMING.regrabMs,
    returnMs: input.return ?? DEFAULT_TIMING.returnMs,
    attemptMs: input.attempt ?? DEFAULT_TIMING.attemptMs,
    dropBackOffMs: input.dropBackOff ?? DEFAULT_TIMING.dropBackOffMs,
    relocateMs: input.relocate ?? DEFAULT_TIMING.relocateMs,
    gcGraceMs: input.gcGrace ?? DEFAULT_TIMING.gcGraceMs,
    scrubMs: input.scrub ?? DEFAULT_TIMING.scrubMs,
    trashMs: input.trash ?? DEFAULT_TIMING.trashMs,
    partialMs: input.partial ?? DEFAULT_TIMING.partialMs,
    treeQuietMs: input.treeQuiet ?? DEFAULT_TIMING.treeQuietMs,
    treeEveryMs: input.treeEvery ?? DEFAULT_TIMING.treeEveryMs,
  };
}
