/** New configuration: what a command that made one says of it. */
import type { ConfigReport } from '../daemon/service.js';
import type { Context } from './context.js';

export async function tellNew(
  context: Context,
  { version, hash, warnings = [] }: ConfigReport,
  text: string,
): Promise<void> {
  for (const warning of warnings) context.note(warning);
  if (context.json) await context.record({ message_type: 'config', version, hash, warnings });
  else await context.print(`${text} (configuration ${version})`);
}
