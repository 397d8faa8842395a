/**
 * The `cluster` command, started by cluster.cts. It is also called `scatterhoard`, because Debian's graphviz owns the
 * shorter name.
 *
 * This file owns what ends the process: signals, errors and exit codes (exit-codes.ts). A command returns its exit code
 * or throws; it never exits by itself.
 */
import { Command, CommanderError, Help } from 'commander';
import { ClusterError } from '../core/fault.js';
import { toErrorRecord } from '../daemon/control-wire.js';
import { endProcess } from '../platform/end-process.js';
import { commandsIn } from './commands.js';
import { Context } from './context.js';
import { EXIT, type ExitCode, exitCodeFor, isInterruption } from './exit-codes.js';
import { helpBelow } from './help.js';
import type { Run } from './run.js';
import { onTerminal, paragraphText } from './text.js';
import { packageVersion } from './version.js';

const interrupt = new AbortController();
let received: NodeJS.Signals | undefined;
/** Another program has the terminal, as an editor: Ctrl-C, which reaches all programs there, is for that one. */
let isHandedOver = false;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (isHandedOver && signal === 'SIGINT') return;
    // After a second signal the process ends at once.
    if (received !== undefined) endProcess(EXIT.interrupted);
    received = signal;
    interrupt.abort(new ClusterError('INTERRUPTED', 'interrupted', { blame: 'operator' }));
  });
}
/** Whether a closed pipe ends the process. True until a command runs: help and version only print, too. */
let endsUnheard = true;
/** Set when not all of the result could be written, to a full disk for example. */
let lost: ClusterError | undefined;
process.stdout.on('error', error => {
  if ('code' in error && error.code === 'EPIPE') {
    // A reader that has seen enough (`| head`) closes the pipe; the rest would be printed for nobody.
    if (endsUnheard) process.exit(EXIT.ok);
  } else if (lost === undefined) {
    const text = `the output could not be written, so what stands there is not all of it: ${error.message}`;
    lost = new ClusterError('OUTPUT_LOST', text, { blame: 'operator', cause: error });
    tellError(lost);
    // A command that does more than report still runs to its end.
    if (endsUnheard) interrupt.abort(lost);
  }
});
// Stderr only says how a command is getting on; the command goes on when nobody can read that.
process.stderr.on('error', () => {});

/** Descriptions narrower than this are not broken into lines: by default 40, more than 80 leave beside the longest command. */
const HELP_COLUMNS_MIN = 20;

interface GlobalOptions {
  readonly state?: string;
  readonly json?: boolean;
}

const program = new Command('cluster');
let exitCode: ExitCode = EXIT.ok;

const runWith =
  (options: { readonly endsUnheard: boolean }): Run =>
  work =>
  async (...args) => {
    endsUnheard = options.endsUnheard;
    const { state, json } = program.opts<GlobalOptions>();
    const context = new Context({
      json: json === true,
      signal: interrupt.signal,
      handOver: async doing => {
        isHandedOver = true;
        try {
          return await doing();
        } finally {
          isHandedOver = false;
        }
      },
      places: {
        ...(state !== undefined && { option: state }),
        environment: process.env,
        isRoot: process.getuid?.() === 0,
      },
    });
    exitCode = await work(context, ...args);
  };

program
  .description("Scatterhoard: every machine of a house keeps copies of the others' files")
  .version(packageVersion())
  .option(
    '--state <dir>',
    'the state folder; default: $CLUSTER_STATE, /var/lib/scatterhoard, $XDG_STATE_HOME/scatterhoard',
  )
  .option('--json', 'JSON lines on stdout')
  .showSuggestionAfterError()
  .configureOutput({ writeErr: text => process.stderr.write(usageErrorText(text)) })
  .configureHelp({
    sortSubcommands: false,
    // Nearly all have options, and their own help tells which: without the word there is more room for what they do.
    subcommandTerm: command => new Help().subcommandTerm(command).replace(' [options]', ''),
    minWidthToWrap: HELP_COLUMNS_MIN,
  })
  .exitOverride();

for (const { load, tells } of commandsIn(process.argv.slice(2))) {
  const make = await load();
  program.addCommand(inheriting(make(runWith({ endsUnheard: tells === true }))));
}
program.addCommand(inheriting(helpBelow(program)));

/** Settings such as exitOverride do not reach commands that are added. */
function inheriting(command: Command): Command {
  command.copyInheritedSettings(program);
  if (command.commands.length > 0) command.addCommand(helpBelow(command));
  for (const below of command.commands) inheriting(below);
  return command;
}

/** Commander finds usage errors before it has read all options. Where a command is missing, it gives the help. */
function usageErrorText(text: string): string {
  if (!process.argv.includes('--json')) return text;
  const [, usage] = /^Usage: (.*)/.exec(text) ?? [];
  const message = usage === undefined ? text.trim() : `a command is missing: ${usage}. With --help it lists them`;
  return `${JSON.stringify({ message_type: 'error', code: 'USAGE', message })}\n`;
}

/** Reports what went wrong, and returns the exit code for it. */
function tellError(error: unknown): ExitCode {
  // Help and version end here too; commander has already printed its text.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const isJson = program.opts<GlobalOptions>().json === true;
  if (received !== undefined && isInterruption(error, interrupt.signal.reason)) {
    if (isJson) process.stderr.write(`${JSON.stringify(toErrorRecord(interrupt.signal.reason))}\n`);
    else process.stderr.write('interrupted\n');
    return EXIT.interrupted;
  }
  const record = toErrorRecord(error);
  if (isJson) process.stderr.write(`${JSON.stringify(record)}\n`);
  else {
    const text = `cluster: ${paragraphText(record.message)}`;
    process.stderr.write(`${process.stderr.isTTY ? onTerminal(text, process.stderr.columns || undefined) : text}\n`);
  }
  // A bug, not a refusal: the stack helps whoever gets the report.
  if (record.code === 'INTERNAL' && error instanceof Error)
    process.stderr.write(`${paragraphText(error.stack ?? '')}\n`);
  return exitCodeFor(error);
}

try {
  await program.parseAsync();
  // `up` ends without an error; SIGTERM is how a service is stopped, SIGINT is a person who interrupts.
  if (received === 'SIGINT') exitCode = EXIT.interrupted;
} catch (error) {
  // The loss of output has been reported already.
  if (lost === undefined || !isInterruption(error, lost)) exitCode = tellError(error);
}
// Nothing that a command left open may keep the process alive, but its output must be written first.
process.stdout.write('', () => {
  // A failed write calls this callback before it emits its error event.
  setImmediate(() => endProcess(lost === undefined ? exitCode : EXIT.failed));
});
