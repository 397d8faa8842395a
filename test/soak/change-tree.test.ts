/** Changes to a tree: the same for the same seed, of every kind, and the tree keeps its size. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ChanceStreams } from '../../sim/chance-streams.js';
import { pathsBelow } from '../helpers/compare-trees.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { changeTree } from './change-tree.js';

/** Enough for a tree to have grown to its size, and to have lost and got much since. */
const CHANGES = 12;

function grown(root: string, seed: number): string {
  mkdirSync(root);
  const chance = new ChanceStreams(seed).of('changes');
  for (let n = 0; n < CHANGES; n += 1) changeTree(root, chance);
  return root;
}

/** All of a tree but its times. */
function contentOf(root: string): Record<string, string> {
  const shown = (path: string): string => {
    const at = join(root, path);
    const stat = lstatSync(at);
    if (stat.isSymbolicLink()) return `to ${readlinkSync(at).slice(root.length)}`;
    if (stat.isDirectory()) return 'folder';
    return `${stat.mode} ${stat.nlink} ${stat.size} ${createHash('sha256').update(readFileSync(at)).digest('hex')}`;
  };
  return Object.fromEntries([...pathsBelow(root)].map(path => [path, shown(path)]));
}

test('the same seed changes a tree in the same way, to files, links and folders of a bounded number', t => {
  const folder = temporaryFolder(t);
  const one = contentOf(grown(join(folder, 'one'), 1));
  t.deepEqual(contentOf(grown(join(folder, 'same'), 1)), one);
  t.notDeepEqual(contentOf(grown(join(folder, 'other'), 2)), one);

  const entries = Object.values(one);
  const files = entries.filter(shown => /^\d/.test(shown)).map(shown => shown.split(' '));
  t.true(files.length > 100 && files.length < 400, `${files.length} files`);
  t.true(
    files.some(([, links]) => Number(links) > 1),
    'hard links',
  );
  t.true(
    entries.some(shown => shown.startsWith('to ')),
    'symlinks',
  );
  t.true(
    files.some(([, , bytes]) => Number(bytes) > 8 * 1024 * 1024),
    'large files',
  );
  t.true(new Set(files.map(([mode]) => mode)).size > 2, 'modes');
});
