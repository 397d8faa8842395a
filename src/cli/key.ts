/** `cluster key export`: the admin key, for a copy away from this machine. It is the text of its file. Needs no service. */
import { Command } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

export const keyCommand = (run: Run): Command => {
  const key = new Command('key').description('the admin key, which signs every change of the configuration');
  key
    .command('export')
    .description('print it, for a copy that is kept away from this machine')
    .option('--show', 'also on a terminal, where others may look on and scrolling back brings it up')
    .action(run(exportKey));
  return key;
};

async function exportKey(context: Context, { show }: { readonly show?: boolean }): Promise<ExitCode> {
  if (process.stdout.isTTY === true && show !== true) {
    const why = "the key is a secret, and this is a terminal: 'cluster key export > FILE' writes it into a file";
    throw new ClusterError('BAD_ARGUMENT', `${why}; --show prints it here. Nothing was printed`, { blame: 'operator' });
  }
  const { adminHosts, isAdminKey } = await import('../membership/admin.js');
  const { ConfigStore } = await import('../membership/config-store.js');
  const { exportAdminKey } = await import('../membership/identity.js');
  const stateDir = context.clusterFolder();
  const { standing } = await ConfigStore.look(stateDir);
  const hosts = adminHosts(standing).join(', ');
  const key = await exportAdminKey(stateDir);
  if (key === undefined)
    throw new ClusterError('NO_ADMIN_KEY', `this host has no admin key; it is on: ${hosts}`, { blame: 'operator' });
  if (!isAdminKey(standing, key.publicKey)) {
    const why = 'the admin key of this host is none of this cluster, and signs nothing: it was not printed';
    throw new ClusterError('NOT_AN_ADMIN', `${why}. The key is on: ${hosts}`, { blame: 'operator' });
  }
  if (context.json)
    await context.record({
      message_type: 'admin_key',
      cluster: standing.clusterName,
      cluster_id: standing.cluster,
      public: key.publicKey,
      file: key.text,
    });
  else await context.print(key.text.trimEnd());
  context.note(
    `this is the admin key of the cluster ${standing.clusterName}: who has it can change all of it. Keep it where neither thieves nor a fire at this machine get it`,
  );
  return EXIT.ok;
}
