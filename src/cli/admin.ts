/**
 * `cluster admin …`: a second machine that can change the configuration, with a key of its own. The new admin gives a line,
 * which a person carries to a host that is one already; the secret stays where it was made.
 */
import { Command } from 'commander';
import type { AdminAdded } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { tellNew } from './new-configuration.js';
import type { Run } from './run.js';

export const adminCommand = (run: Run): Command => {
  const admin = new Command('admin').description(
    'machines that can change the configuration: one of them may get lost',
  );
  admin
    .command('request')
    .description('make this host a key of its own, and print the line for "admin add" on a host that is an admin')
    .action(run(request));
  admin
    .command('add')
    .description('let another host change the configuration, too')
    .argument('<host>', 'its name')
    .argument('<line>', 'what "admin request" printed there; it is no secret')
    .action(run(add));
  return admin;
};

async function request(context: Context): Promise<ExitCode> {
  const { host, line, isAdmin } = await context.service().adminRequest(context.signal);
  if (context.json) await context.record({ message_type: 'admin_request', host, line, is_admin: isAdmin });
  else await context.print(line);
  if (isAdmin) context.note(`${host} is an admin already`);
  else context.note(`on a host that is an admin: cluster admin add ${host} LINE`);
  return EXIT.ok;
}

async function add(context: Context, host: string, line: string): Promise<ExitCode> {
  const report = await context.service().adminAdd({ host, line }, context.signal);
  await tellNew(context, report, whatChanged(host, report));
  return EXIT.ok;
}

function whatChanged(host: string, { changed, replaced }: AdminAdded): string {
  if (!changed) return `${host} was an admin already`;
  return replaced
    ? `${host} is an admin by its new key, and the one before counts no more`
    : `${host} is an admin, too`;
}
