/**
 * `cluster pause` and `cluster resume`: for a while this host begins nothing big of its own accord, as somebody wants
 * who is on a link that is paid by the byte, or needs the disk.
 */
import { Command } from 'commander';
import { durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { timeRecord, timeText } from './text.js';

export const pauseCommand = (run: Run): Command =>
  new Command('pause')
    .description('for a while, begin no snapshots, scrubs, fetches or drops on this host; it stays a member that is up')
    .argument('<duration>', 'such as 2h; at most 72h', durationArgument)
    .action(run(pause));

export const resumeCommand = (run: Run): Command =>
  new Command('resume').description('end a pause of this host').action(run(resume));

async function pause(context: Context, forMs: number): Promise<ExitCode> {
  const { untilMs } = await context.service().pause({ forMs }, context.signal);
  if (context.json) await context.record({ message_type: 'pause', paused_until: timeRecord(untilMs) });
  else await context.print(`paused until ${timeText(untilMs)}; 'cluster resume' ends it`);
  return EXIT.ok;
}

async function resume(context: Context): Promise<ExitCode> {
  const { wasPaused } = await context.service().resume(context.signal);
  if (context.json) await context.record({ message_type: 'pause', paused_until: null, was_paused: wasPaused });
  else await context.print(wasPaused ? 'the pause is over' : 'there was no pause');
  return EXIT.ok;
}
