/**
 * Parse policy: reads the YAML of a policy into a complete policy, or reports everything that is wrong with it.
 *
 * Unknown keys are errors: a misspelt `copeis` must not cost copies. Hosts that are not members yet cause a warning
 * only, since a machine may be configured before it joins.
 *
 * Pure. Used by the command line before anything is sent, and by every host for each version of the configuration,
 * whose text comes from peers.
 */
import { LineCounter } from 'yaml';
import type { z } from 'zod';
import { HOLD_DAYS_OTHER, SEEN_MAX } from '../core/hold.js';
import { nearNames } from './near-name.js';
import type { Policy } from './policy.js';
import { withDefaults } from './policy-defaults.js';
import { readDocument, refuseMachinery } from './policy-document.js';
import { reportLending, reportMeaning, reportPaths, reportZones } from './policy-meaning.js';
import { PolicyError, PolicyReport } from './policy-report.js';
import { keysAt, NAME_ALLOWED, type PolicyInput, policySchema } from './policy-schema.js';
import { reportTiming } from './policy-timing.js';
import { scheduleText, timesADay } from './schedule.js';

/** A policy's text. A host's section is some 500 bytes; this is room for 500 hosts. */
export const POLICY_BYTES_MAX = 256 * 1024;

export interface PolicyReading {
  readonly policy: Policy;
  /** Things that are allowed but look like a mistake: one line each. */
  readonly warnings: readonly string[];
}

/**
 * Reads a policy. `file` is the name used for positions (default: `policy`). With `members` (names), it warns of host
 * sections that belong to nobody, and of sources that would have more snapshots in their hold than is possible.
 * `isSigned`: the policy is in force or was; a time below its floor is then read as the floor, and a path, a limit and
 * a time zone are taken as they are, because a rule introduced by a later release must make no version unreadable, nor may what
 * another host knows.
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
  const report = new PolicyReport(file, lines, document);

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
  if (!isSigned) {
    reportTiming(input.timing ?? {}, report);
    reportPaths(input, report);
    reportLending(input, report);
    reportZones(input, report);
  }
  report.end();

  const policy = withDefaults(input);
  if (members === undefined) return { policy, warnings: [] };
  return { policy, warnings: [...warnOfStrangers(policy, new Set(members)), ...warnOfHolds(policy)] };
}

/**
 * Warns of hosts that are not members: a section takes effect when a host of that name joins, or never if the name is a
 * mistake. Then the member that was meant has none.
 */
function warnOfStrangers({ hosts }: Policy, members: ReadonlySet<string>): readonly string[] {
  const near = nearNames();
  const strangersIn = (named: ReadonlyMap<string, unknown>): readonly (readonly [string, string])[] => {
    const unnamed = [...members].filter(name => !named.has(name));
    return [...named.keys()]
      .filter(name => !members.has(name))
      .map(name => {
        const meant = near(name, unnamed);
        return [name, meant === undefined ? '' : `. Did you mean ${meant}?`];
      });
  };
  const sections = strangersIn(hosts).map(
    ([name, meant]) =>
      `hosts.${name} is no member of this cluster yet: its section takes effect when a host of that name joins${meant}`,
  );
  const rates = [...hosts.values()].flatMap(({ name, limits }) =>
    strangersIn(limits.peers).map(
      ([peer, meant]) =>
        `hosts.${name}.limits.peers.${peer} is no member of this cluster yet: it limits nobody${meant}`,
    ),
  );
  return [...sections, ...rates];
}

/**
 * No snapshot is taken then until a hold has run out: most that are due are skipped, and the person who set this may
 * expect all.
 */
function warnOfHolds({ hosts }: Policy): readonly string[] {
  return [...hosts.values()].flatMap(({ name, sources }) =>
    sources.flatMap(({ name: source, schedule, holdDays = HOLD_DAYS_OTHER }) => {
      const count = Math.ceil(timesADay(schedule) * holdDays);
      if (count <= SEEN_MAX) return [];
      return [
        `hosts.${name}.sources.${source}: with a snapshot ${scheduleText(schedule)} and a hold of ${holdDays}d, ${count} would be in their hold, and at most ${SEEN_MAX} can be: beyond that no snapshot is taken until a hold has run out. Take them less often, or with a shorter hold`,
      ];
    }),
  );
}

function reportIssue(issue: z.core.$ZodIssue, report: PolicyReport): void {
  const path = issue.path.map(step => (typeof step === 'symbol' ? String(step) : step));
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) {
        report.key([...path, key], `unknown key; allowed: ${keysAt(path).join(', ')}`);
      }
      return;
    case 'invalid_key':
      report.key(path, `bad name; allowed: ${NAME_ALLOWED}`);
      return;
    default:
      report.value(path, issue.message);
  }
}
