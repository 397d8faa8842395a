/** `cluster init --name NAME`: a new cluster, with this host as its first member and admin. Needs no service. */
import { Command } from 'commander';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

interface InitOptions {
  readonly name: string;
  readonly host?: string;
}

export const initCommand = (run: Run): Command =>
  new Command('init')
    .description('create a cluster; this host is its first member and admin')
    .requiredOption('--name <name>', 'of the cluster, such as "home"')
    .option('--host <name>', "of this host; default: the machine's name")
    .action(run(init));

async function init(context: Context, { name, host }: InitOptions): Promise<ExitCode> {
  const { initCluster } = await import('../membership/init-cluster.js');
  const stateDir = context.newStateFolder('init');
  const configuration = await initCluster({
    stateDir,
    clusterName: name,
    ...(host !== undefined && { hostName: host }),
    nowMs: Date.now(),
  });
  const [founder] = configuration.members;
  if (context.json) {
    const { cluster, version } = configuration;
    await context.record({
      message_type: 'init',
      cluster: name,
      cluster_id: cluster,
      host: founder?.name,
      host_id: founder?.host,
      state: stateDir,
      config_version: version,
    });
    return EXIT.ok;
  }
  await context.print(`created cluster ${name}; this host is ${founder?.name}, and its state is in ${stateDir}`);
  context.note("Next: 'cluster up' starts the service, 'cluster invite' lets other machines in.");
  return EXIT.ok;
}
