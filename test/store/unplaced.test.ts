/** What a person can do by hand with the list of what has no place in a tree: as deploy/OPERATIONS.md says. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { unplacedLine } from '../../src/store/tree-lists.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const PAGE = new URL('../../../deploy/OPERATIONS.md', import.meta.url);

test('the shell commands of OPERATIONS.md bring files that are in .blobs alone back under their names', t => {
  if (spawnSync('bash', ['--version']).status !== 0) return skip(t, 'bash is not installed');
  const folder = temporaryFolder(t);
  const [origin, back] = [join(folder, 'store', 'imac'), join(folder, 'back')];
  mkdirSync(origin, { recursive: true });
  const names = ['a', 'b/c  d', ' begins', 'ends ', 'new\nline\n', 'b/back\\slash', '%s', '-n', '$(x)', 'b/\xe4\xff'];
  const lines = names.map(name => {
    const content = Buffer.from(`content of ${name}`);
    const blob = hashHex(content);
    const fan = join(folder, 'store', '.blobs', blob.slice(0, 2));
    mkdirSync(fan, { recursive: true });
    writeFileSync(join(fan, blob), content);
    return unplacedLine(blob, 'no-hard-links', Buffer.from(name, 'latin1'));
  });
  writeFileSync(join(origin, 'photos.unplaced'), lines.join(''));
  const blocks = readFileSync(PAGE, 'utf8').matchAll(/```sh\n(.*?)```/gs);
  const [commands = ''] = [...blocks].flatMap(([, block]) => (block?.includes('photos.unplaced') ? [block] : []));
  t.true(commands.includes('/home/ann/back'));
  const { status, stderr } = spawnSync('bash', ['-c', commands.replaceAll('/home/ann/back', back)], {
    cwd: origin,
    encoding: 'utf8',
  });
  t.deepEqual([status, stderr], [0, '']);
  const there = readdirSync(back, { recursive: true, encoding: 'latin1' as BufferEncoding }) as string[];
  t.deepEqual(there.filter(name => name !== 'b').sort(), [...names].sort());
  for (const name of names) {
    const content = readFileSync(Buffer.from(join(back, name), 'latin1'), 'utf8');
    t.is(content, `content of ${name}`);
  }
});
