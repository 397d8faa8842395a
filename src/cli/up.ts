/** `cluster up`: the service, in the foreground, until SIGTERM or SIGINT. */
import { Command } from 'commander';
import { ClusterError } from '../core/fault.js';
import { collected } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

interface UpOptions {
  readonly listen?: readonly string[];
  readonly peer?: readonly string[];
  readonly mdns: boolean;
}

export const upCommand = (run: Run): Command =>
  new Command('up')
    .description('run the service in the foreground; logs go to stderr, one line to stdout when it is ready')
    .option('--listen <multiaddr>', 'listen here (may be repeated); default: port 4747 on all addresses', collected)
    .option('--peer <multiaddr>', 'where a member can be reached (may be repeated)', collected)
    .option('--no-mdns', 'do not look for members on the local network')
    .action(run(up));

async function up(context: Context, { listen = LISTEN_DEFAULT, peer = [], mdns }: UpOptions): Promise<ExitCode> {
  const stateDir = context.ownStateFolder('up');
  // Heavy to load, and no other command needs it.
  const { checkAddresses, OTHER_HOST, runService } = await import('../daemon/run-service.js');
  checkAddresses([...listen, ...peer]);
  const run = (): Promise<void> =>
    runService({
      stateDir,
      listen,
      peers: peer,
      mdns,
      signal: context.signal,
      onReady: async ({ cluster, host, addresses }) => {
        if (context.json) await context.record({ message_type: 'ready', cluster, host, addresses });
        else await context.print(`ready: host ${host} of cluster ${cluster}, listening on ${addresses.join(', ')}`);
      },
    });
  for (;;) {
    try {
      await run();
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof ClusterError && error.code === OTHER_HOST)) throw error;
    }
  }
}

/** Where a service listens that is told nothing else. */
export const LISTEN_PORT = 4747;
const LISTEN_DEFAULT: readonly string[] = [`/ip4/0.0.0.0/tcp/${LISTEN_PORT}`, `/ip6/::/tcp/${LISTEN_PORT}`];
