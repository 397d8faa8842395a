/**
 * Tree sums: takes lines out of a tree's `.b3` before the files that they name leave the tree. A tree is rebuilt only
 * with its snapshot; until then `b3sum -c` would fail on those lines.
 *
 * Driven by tree-prune.ts, and like it never runs beside an update of the tree.
 */
import { rm } from '../platform/disk-calls.js';
import { openOwnFile, systemCode } from './own-folder.js';
import { ListFile, pathOfB3Line } from './tree-lists.js';

const READ_BYTES = 64 * 1024;
/** Errors for want of room to write the shorter list: the files leave in order to make room. */
const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * If the disk has no room for the shorter list, the list is removed: a missing list says that nobody looked.
 * @param goes whether the path that a line names leaves the tree; the path is given as the line has it
 */
export async function removeLines(listPath: string, goes: (path: string) => Promise<boolean>): Promise<void> {
  if (!(await isAny(listPath, goes))) return;
  try {
    await rewrite(listPath, goes);
  } catch (error) {
    if (!FULL.has(systemCode(error))) throw error;
    await rm(listPath, { force: true });
  }
}

async function isAny(listPath: string, goes: (path: string) => Promise<boolean>): Promise<boolean> {
  for await (const line of linesOf(listPath)) if (await goes(pathOfB3Line(line))) return true;
  return false;
}

async function rewrite(listPath: string, goes: (path: string) => Promise<boolean>): Promise<void> {
  const list = await ListFile.create(listPath);
  try {
    for await (const line of linesOf(listPath)) if (!(await goes(pathOfB3Line(line)))) await list.add(`${line}\n`);
    await list.finish({ keepEmpty: true });
  } catch (error) {
    await Promise.allSettled([list.discard()]);
    throw error;
  }
}

/** No lines if there is no list. */
async function* linesOf(listPath: string): AsyncGenerator<string> {
  const file = await openOwnFile(listPath);
  if (file === undefined) return;
  try {
    const buffer = Buffer.alloc(READ_BYTES);
    let rest = Buffer.alloc(0);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return; // a list ends with the end of a line
      rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        yield rest.toString('utf8', 0, end);
        rest = rest.subarray(end + 1);
      }
    }
  } finally {
    await file.close();
  }
}

const NEWLINE = 0x0a;
