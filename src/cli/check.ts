/**
 * Check: what `cluster doctor` found of one thing: whether it is right, and if it is not, what that means and what to
 * do.
 *
 * A check is decided by a pure function over facts that were gathered before (machine-checks.ts, state-checks.ts,
 * cluster-checks.ts, store-checks.ts, source-checks.ts, service-checks.ts). Gathering changes nothing, and waits for a
 * limited time (look.ts).
 */

/** The one table of all checks, in the order in which they are told. deploy/COMMANDS.md says of each what it looks at. */
export const CHECK_NAMES = [
  'program',
  'hasher',
  'system-calls',
  'open-files',
  'clock',
  'network',
  'port',
  'state-folder',
  'state-room',
  'socket',
  'service',
  'host-key',
  'configuration',
  'member',
  'admin-key',
  'store',
  'store-disk',
  'store-room',
  'store-names',
  'source',
  'source-mounts',
  'source-snapshot',
  'source-watch',
  'members',
  'alarm',
] as const;

export type CheckName = (typeof CHECK_NAMES)[number];

/**
 * `failed`: something does not work, or will not. `warning`: it works, and a person should know. Also where this user
 * cannot tell.
 */
export type CheckResult = 'ok' | 'warning' | 'failed';

export interface Check {
  readonly name: CheckName;
  readonly result: CheckResult;
  /** What it is about, where there may be several of the kind: the path of a store, the name of a source. */
  readonly subject: string | undefined;
  /** Names the subject, too. */
  readonly message: string;
}

const having =
  (result: CheckResult) =>
  (name: CheckName, message: string, subject?: string): Check => ({
    name,
    result,
    subject,
    message: subject === undefined ? message : `${subject}: ${message}`,
  });

export const ok = having('ok');
export const warning = having('warning');
export const failed = having('failed');
