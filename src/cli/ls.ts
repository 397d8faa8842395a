/** `cluster ls SOURCE[@SNAPSHOT][:PATH]`: what a snapshot holds. */
import { Command } from 'commander';
import type { Entry, EntryKind } from '../catalog/entry.js';
import { escapePath } from '../catalog/path-text.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { FROM_STORE, needSpec, SPEC_ON_STORES } from './from-store-option.js';
import { entryRecord } from './records.js';
import type { Run } from './run.js';
import { timeText } from './text.js';
import { tellLacking, tellNewer, tellUnreachable } from './unreachable.js';

export const SPEC_HELP =
  'NAME[@SNAPSHOT][:PATH]; SNAPSHOT: 8 or more digits of an id, "latest", or YYYY-MM-DD[THH[:MM[:SS]]][Z]';

export const lsCommand = (run: Run): Command =>
  new Command('ls')
    .description('the entries of a snapshot, in path order; exit code 3 when some of them cannot be read')
    .argument('[source]', `${SPEC_HELP}; ${SPEC_ON_STORES}`)
    .option(...FROM_STORE)
    .option('-l, --long', 'with mode, owner, size and time')
    .action(run(list));

interface ListOptions {
  readonly long?: boolean;
  readonly fromStore?: readonly string[];
}

async function list(context: Context, spec: string | undefined, { long, fromStore }: ListOptions): Promise<ExitCode> {
  const show = async (entry: Entry): Promise<void> => {
    if (context.json) await context.record(entryRecord(entry));
    // The source's own folder has no path to show.
    else if (entry.path.length > 0) await context.print(long ? longLine(entry) : escapePath(entry.path));
  };
  if (fromStore !== undefined) {
    const { listEntries } = await import('./list-from-store.js');
    return listEntries(context, { words: fromStore, spec }, show);
  }
  const named = needSpec(spec);
  const service = context.service();
  const resolved = await service.resolve({ spec: named }, context.signal);
  const { sourceId, snapshot, under, newer, unreachable } = resolved;
  tellNewer(context, newer);
  tellUnreachable(context, unreachable);
  let code: ExitCode = EXIT.ok;
  for await (const item of service.entries({ sourceId, snapshot: snapshot.id, under }, context.signal)) {
    if ('lacking' in item) {
      code = EXIT.incomplete;
      tellLacking(context, item);
    } else if (!item.isStandIn) await show(item.entry);
  }
  return code;
}

const KIND_LETTERS: Readonly<Record<EntryKind, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'block-device': 'b',
  'char-device': 'c',
};

/** As `ls -l` shows it. */
function longLine(entry: Entry): string {
  // The names of accounts may be any text: an unescaped line break would start a new line.
  const user = escapePath(Buffer.from(entry.user)) || String(entry.uid);
  const group = escapePath(Buffer.from(entry.group)) || String(entry.gid);
  const time = timeText(Number(entry.mtimeNs / 1_000_000n));
  const target = entry.target === undefined ? '' : ` -> ${escapePath(entry.target)}`;
  const stale = entry.stale ? '  (stale)' : '';
  return `${KIND_LETTERS[entry.kind]}${modeText(entry.mode)} ${user.padEnd(8)} ${group.padEnd(8)} ${String(entry.size).padStart(12)} ${time} ${escapePath(entry.path)}${target}${stale}`;
}

function modeText(mode: number): string {
  const triple = (bits: number, special: boolean, letter: string): string => {
    const execute = (bits & 1) !== 0;
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`;
  };
  return (
    triple(mode >> 6, (mode & 0o4000) !== 0, 's') +
    triple(mode >> 3, (mode & 0o2000) !== 0, 's') +
    triple(mode, (mode & 0o1000) !== 0, 't')
  );
}
