/** `cluster up`: the service, in the foreground, until SIGTERM or SIGINT. */
import { Command } from 'commander';
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
    .option('--listen <multiaddr>', 'listen here (may be given again); default: port 4747 on all addresses', collected)
    .option('--peer <multiaddr>', 'a member can be reached here (may be given again)', collected)
    .option('--no-mdns', 'do not look for members in the local network')
    .action(run(up));

async function up(context: Context, { listen, peer, mdns }: UpOptions): Promise<ExitCode> {
  const stateDir = context.stateFolder();
  const { runService } = await loadRunService();
  await runService({
    stateDir,
    listen: listen ?? LISTEN_DEFAULT,
    peers: peer ?? [],
    mdns,
    signal: context.signal,
    onReady: async ({ cluster, host, addresses }) => {
      if (context.json) await context.record({ message_type: 'ready', cluster, host, addresses });
      else await context.print(`ready: host ${host} of cluster ${cluster}, listening on ${addresses.join(', ')}`);
    },
  });
  return EXIT.ok;
}

const LISTEN_DEFAULT: readonly string[] = ['/ip4/0.0.0.0/tcp/4747', '/ip6/::/tcp/4747'];

/** What `runService` of src/daemon/run-service.ts is to be called with; it ends, cleanly, when `signal` aborts. */
export interface ServiceRun {
  readonly stateDir: string;
  readonly listen: readonly string[];
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly signal: AbortSignal;
  readonly onReady: (ready: {
    readonly cluster: string;
    readonly host: string;
    readonly addresses: readonly string[];
  }) => void | Promise<void>;
}

/** By a name that the compiler does not follow: the service is heavy to load, and no other command needs it. */
async function loadRunService(): Promise<{ readonly runService: (run: ServiceRun) => Promise<void> }> {
  const module: string = '../daemon/run-service.js';
  return (await import(module)) as { readonly runService: (run: ServiceRun) => Promise<void> };
}
