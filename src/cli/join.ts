/** `cluster join TOKEN`: this machine becomes a member. Needs no service. */
import { Command } from 'commander';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { readStandardInput } from './standard-input.js';

interface JoinOptions {
  readonly host?: string;
  readonly mdns: boolean;
}

export const joinCommand = (run: Run): Command =>
  new Command('join')
    .description("become a member, with a token from 'cluster invite'")
    .argument('<token>', 'the line that invite printed; "-" for stdin')
    .option('--host <name>', "of this host; default: the machine's name. One that is taken gets -2 behind it")
    .option('--no-mdns', 'reach the members only at the addresses in the token')
    .action(run(join));

async function join(context: Context, tokenArgument: string, { host, mdns }: JoinOptions): Promise<ExitCode> {
  const token = tokenArgument === '-' ? (await readStandardInput(context.signal)).trim() : tokenArgument;
  const { joinCluster } = await import('../membership/join-cluster.js');
  const { pino } = await import('pino');
  const { LogLines } = await import('../platform/log-lines.js');
  const lines = new LogLines();
  const stateDir = context.newStateFolder('join');
  const joined = await joinCluster({
    token,
    stateDir,
    ...(host !== undefined && { hostName: host }),
    mdns,
    clock: Date.now,
    log: pino({ level: process.env.CLUSTER_LOG ?? 'silent' }, lines),
    signal: context.signal,
  }).finally(() => lines.end());
  const { configuration, name, wantedName, standing, trust, admittedBy } = joined;
  if (context.json) {
    await context.record({
      message_type: 'join',
      cluster: configuration.clusterName,
      cluster_id: configuration.cluster,
      host: name,
      wanted_host: wantedName,
      host_id: joined.host,
      standing,
      trust,
      admitted_by: admittedBy,
      state: stateDir,
    });
    return EXIT.ok;
  }
  await context.print(
    `joined ${configuration.clusterName} as ${name}, let in by ${admittedBy}; this host's state is in ${stateDir}`,
  );
  if (name !== wantedName)
    context.note(
      `The name ${wantedName} is another host's, of one that was revoked maybe: this host is called ${name}, in the policy too.`,
    );
  if (standing === 'provisional') context.note('Its copies count once a host with an admin key has been reached.');
  context.note("Next: 'cluster up' starts the service.");
  return EXIT.ok;
}
