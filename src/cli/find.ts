/** `cluster find PATTERN`: where in the snapshots is a file with such a name? */
import { Command } from 'commander';
import { escapePath } from '../catalog/path-text.js';
import { ClusterError } from '../core/fault.js';
import type { SnapshotReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { entryRecord } from './records.js';
import type { Run } from './run.js';
import { countText, shortId } from './text.js';
import { tellLacking } from './unreachable.js';

interface FindOptions {
  readonly source?: string;
  readonly all?: boolean;
  readonly held?: boolean;
  readonly ignoreCase?: boolean;
}

export const findCommand = (run: Run): Command =>
  new Command('find')
    .description('where a file is in the snapshots, as SOURCE@SNAPSHOT:PATH')
    .argument(
      '<pattern>',
      'a name such as "*.jpg", or with a slash a path such as "2026/**/*.jpg". * and ? stand for any text and any byte of a name, ** for any folders, [ab] and {ab,cd} for one of these; every other character, and any of these after a \\, stands for itself',
    )
    .option('--source <name>', 'only in this source')
    .option('--all', 'in every listed snapshot, newest first; default: in the newest of each source')
    .option('--held', 'as --all, and also in those that their origin no longer lists but that are in their hold here')
    .option('-i, --ignore-case', 'ignore the case of ASCII letters')
    .action(run(find));

async function find(context: Context, pattern: string, options: FindOptions): Promise<ExitCode> {
  const { source, all, held, ignoreCase } = options;
  const service = context.service();
  const isMatch = await matcherOf(pattern, ignoreCase === true);
  const request = source === undefined ? {} : { source };
  const known = await service.snapshots(held === true ? { ...request, held } : request, context.signal);
  const newestFirst = [...known].reverse();
  const snapshots = all === true || held === true ? newestFirst : newestOfEach(newestFirst);
  let found = 0;
  let code: ExitCode = EXIT.ok;
  for (const { source: name, sourceId, id } of snapshots) {
    const whole = { sourceId, snapshot: id, under: Buffer.alloc(0) };
    try {
      for await (const item of service.entries(whole, context.signal)) {
        if ('lacking' in item) {
          code = EXIT.incomplete;
          tellLacking(context, item);
          continue;
        }
        const { entry } = item;
        if (entry.path.length === 0 || !isMatch(entry.path)) continue;
        found += 1;
        if (context.json)
          await context.record({ ...entryRecord(entry), message_type: 'match', source: name, snapshot: id });
        else await context.print(`${name}@${shortId(id)}:${escapePath(entry.path)}`);
      }
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || !UNREADABLE.has(error.code)) throw error;
      // Other snapshots may still have a match.
      code = EXIT.incomplete;
      context.note(`not searched: ${name}@${shortId(id)}: ${error.message}`);
    }
  }
  if (found === 0) await tellNothing(context, { ...options, older: known.length - snapshots.length });
  return code;
}

/**
 * A file that was deleted is just what is in no newest snapshot, and in none that is listed after a while.
 * @param older listed ones that were not looked into
 */
async function tellNothing(
  context: Context,
  { source, held, older }: Pick<FindOptions, 'held' | 'source'> & { readonly older: number },
): Promise<void> {
  const unlisted = held === true ? 0 : await countHeld(context, source);
  if (context.json) await context.record({ message_type: 'nothing_found', older, held: unlisted });
  context.note('nothing found');
  if (older > 0) context.note(`not looked at: ${countText(older, 'older snapshot')}; --all searches these too`);
  if (unlisted === 0) return;
  const what = countText(unlisted, 'snapshot');
  context.note(`not looked at: ${what} no longer listed but still held here; --held searches these too`);
}

async function countHeld(context: Context, source: string | undefined): Promise<number> {
  const request = { ...(source !== undefined && { source }), held: true };
  return (await context.service().snapshots(request, context.signal)).filter(one => one.held).length;
}

/** No host that is up has the snapshot itself, or its bytes are no snapshot, or it was removed just now. */
const UNREADABLE: ReadonlySet<unknown> = new Set(['OBJECT_MISSING', 'MALFORMED_OBJECT', 'SNAPSHOT_GONE']);

function newestOfEach(newestFirst: readonly SnapshotReport[]): SnapshotReport[] {
  const seen = new Set<string>();
  return newestFirst.filter(({ sourceId }) => {
    const isNew = !seen.has(sourceId);
    seen.add(sourceId);
    return isNew;
  });
}

/**
 * Paths are bytes, and are matched byte by byte (Latin-1), as exclude patterns are: a `?` stands for one byte.
 *
 * Parentheses and bars stand for themselves: the copies of a file are called `IMG (1).jpg`.
 *
 * @throws ClusterError BAD_ARGUMENT
 */
async function matcherOf(pattern: string, ignoreCase: boolean): Promise<(path: Buffer) => boolean> {
  // Loaded only here: no other command needs it.
  const { default: picomatch } = await import('picomatch');
  const plain = pattern.replace(/^\/+/, '').replaceAll(/\\.|[()|]/g, one => (one.length > 1 ? one : `\\${one}`));
  if (plain === '') {
    const text = `the pattern ${JSON.stringify(pattern)} names nothing: write a part of a name, such as "*.jpg", or "*" for everything. Nothing was looked at`;
    throw new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });
  }
  const isMatch = picomatch(Buffer.from(plain).toString('latin1'), {
    basename: !pattern.includes('/'),
    dot: true,
    nocase: ignoreCase,
    noextglob: true,
    nonegate: true,
    windows: false,
  });
  return path => isMatch(path.toString('latin1'));
}
