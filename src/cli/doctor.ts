/**
 * `cluster doctor`: looks at this machine and at this host's part of the cluster, and says what is wrong, what that
 * means and what to do. It needs no service, changes nothing, and waits for no disk longer than look.ts says.
 *
 * Exits with 1 when something has failed. Without a cluster here, or for a user whom the service does not hear, the
 * machine's own checks come first, and then the refusal that every other command gives.
 */
import { Command } from 'commander';
import { ClusterError } from '../core/fault.js';
import { type Check, type CheckResult, failed } from './check.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { COLUMNS, coloured, lineText, TEXT_COLUMNS_MIN, wrapped } from './text.js';

export const doctorCommand = (run: Run): Command =>
  new Command('doctor')
    .description('what is wrong on this host; needs no service, changes nothing')
    .action(run(doctor));

async function doctor(context: Context): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  for await (const check of examine(context)) {
    if (check.result === 'failed') code = EXIT.failed;
    await tell(context, check);
  }
  return code;
}

/** @throws ClusterError NO_STATE_FOLDER, NO_CLUSTER, CONTROL_FORBIDDEN, after what can be checked all the same */
async function* examine(context: Context): AsyncGenerator<Check> {
  const [{ checkMachine, NOTHING_KNOWN }, { LATE_TEXT, lateAmong }] = await Promise.all([
    import('./machine-checks.js'),
    import('./look.js'),
  ]);
  const late = await lateAmong(context.stateCandidates, context.signal);
  if (late !== undefined) {
    yield* await checkMachine({ ...NOTHING_KNOWN, mayRun: true });
    yield failed('state-folder', `${late}: ${LATE_TEXT}. Nothing in it can be looked at`);
    return;
  }
  let stateDir: string;
  try {
    stateDir = context.clusterFolder();
  } catch (error) {
    const mayRun = error instanceof ClusterError && error.code === 'CONTROL_FORBIDDEN';
    yield* await checkMachine({ ...NOTHING_KNOWN, mayRun });
    throw error;
  }
  // Loads much of what the service does, and no other command needs it.
  const { examineHost } = await import('./examine-host.js');
  yield* examineHost({ stateDir, saidBy: context.stateSaid, signal: context.signal });
}

async function tell(context: Context, check: Check): Promise<void> {
  const { name, result, subject, message } = check;
  if (context.json) return context.record({ message_type: 'check', name, result, subject: subject ?? null, message });
  const columns = context.isTerminal ? process.stdout.columns || COLUMNS : Number.POSITIVE_INFINITY;
  await context.print(checkText(check, columns));
}

const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red' } as const satisfies Record<CheckResult, string>;
/** As wide as the longest result, with the space behind it. */
const INDENT = ' '.repeat('warning  '.length);

/**
 * On lines of so many columns. What a check says on further lines begins below its name; no name in it, of a mount or a
 * file, begins a line that looks like another check.
 */
export function checkText({ name, result, message }: Check, columns: number): string {
  const text = `${name}  ${lineText(message)}`;
  const lines = wrapped(text, Math.max(columns - INDENT.length, TEXT_COLUMNS_MIN));
  return `${coloured(COLOURS[result], result)}${INDENT.slice(result.length)}${lines.join(`\n${INDENT}`)}`;
}
