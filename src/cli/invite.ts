/** `cluster invite`: a token that lets hosts in. The token alone goes to stdout, so that it can be piped. */
import { Command, Option } from 'commander';
import { countArgument, durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { countText, timeRecord, timeText } from './text.js';

interface InviteOptions {
  readonly uses: number;
  readonly expires: number;
  readonly trust: 'trusted' | 'untrusted';
}

/** Long enough to walk to the other machine tomorrow. */
const EXPIRES_MS = 24 * 3_600_000;

export const inviteCommand = (run: Run): Command =>
  new Command('invite')
    .description("print a token for 'cluster join' on another machine")
    .option('--uses <n>', 'how many hosts it lets in', countArgument, 1)
    .addOption(
      new Option('--expires <duration>', 'valid for this long').argParser(durationArgument).default(EXPIRES_MS, '24h'),
    )
    .addOption(
      new Option('--trust <trust>', 'what those hosts are').choices(['trusted', 'untrusted']).default('trusted'),
    )
    .action(run(invite));

async function invite(context: Context, { uses, expires, trust }: InviteOptions): Promise<ExitCode> {
  const { token, untilMs } = await context.service().invite({ uses, expiresMs: expires, trust }, context.signal);
  if (context.json) await context.record({ message_type: 'invite', token, uses, trust, until: timeRecord(untilMs) });
  else {
    await context.print(token);
    if (context.isTerminal)
      context.note(
        `for ${countText(uses, 'host')}, until ${timeText(untilMs)}: whoever has it can join, so hand it over like a key`,
      );
  }
  return EXIT.ok;
}
