/**
 * A program for unreadable.test.ts: it must run without the right to read everything, which tests often have as root.
 * Prints what each snapshot said, as one line of JSON. Its arguments are the source's `exclude`.
 */
import { chmodSync, lstatSync } from 'node:fs';
import { escapePath } from '../../src/catalog/path-text.js';
import { ScratchSource, type Taken } from './scratch-source.js';

const ends: (() => void | Promise<void>)[] = [];
const source = new ScratchSource({ teardown: end => void ends.push(end) });
const locked = ['file', 'list', 'enter', 'new', 'new-folder'];

source.write({
  file: 'a file',
  'list/a': 'cannot be listed',
  'list/deep/b': 'nor what is below',
  'enter/c': 'listed, but not to be looked at',
  'enter/deep/b': 'nor what is below',
  'fine/d': 'fine',
  z: 'last',
});
const steps: object[] = [];

async function step(): Promise<void> {
  const taken: Taken = await source.take({ exclude: process.argv.slice(2) });
  const entries = await source.entries();
  steps.push({
    stale: taken.stale,
    missed: taken.missed,
    unread: taken.unread.map(({ path, because, carried }) => [escapePath(path), because, carried]),
    paths: await source.paths(),
    stalePaths: entries.filter(({ stale }) => stale).map(({ path }) => escapePath(path)),
    reusedAll: taken.reused === taken.parcels,
    gone: taken.filesGone,
  });
}

await step();
source.write({ new: 'never seen', 'new-folder/e': 'never seen' });
for (const name of locked) chmodSync(source.path(name), name === 'enter' ? 0o400 : 0);
await step();
await step();
for (const name of locked) chmodSync(source.path(name), lstatSync(source.path(name)).isDirectory() ? 0o755 : 0o644);
await step();
for (const end of ends.reverse()) await end();
process.stdout.write(`${JSON.stringify(steps)}\n`);
