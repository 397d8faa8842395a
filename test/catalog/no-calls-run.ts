/**
 * A program for scan-xattrs.test.ts: a snapshot with the system calls that koffi brings, and one without. Prints what each said,
 * as one line of JSON. It is started with `WITHOUT_KOFFI` as an import, which the scan's own thread inherits.
 */
import { mkdirSync } from 'node:fs';
import { escapePath } from '../../src/catalog/path-text.js';
import { setRawXattr } from '../helpers/raw-xattrs.js';
import { ScratchSource } from './scratch-source.js';

const ends: (() => Promise<void>)[] = [];
const source = new ScratchSource({ teardown: end => void ends.push(end) });
source.write({ file: 'content', changed: 'before' });
mkdirSync(source.path('folder'));
for (const path of ['file', 'changed', 'folder']) setRawXattr(source.path(path), 'user.a', 'x');

async function step(): Promise<object> {
  const { stale, missed, unread } = await source.take();
  const entries = (await source.entries()).filter(({ xattrs }) => xattrs.length > 0);
  return {
    stale,
    missed,
    unread: unread.map(({ path, because, carried }) => [escapePath(path), because, carried]),
    named: entries.map(({ path }) => escapePath(path)),
  };
}

const steps = [await step()];
process.env.WITHOUT_KOFFI = 'yes';
source.write({ changed: 'after', new: 'never seen before' });
steps.push(await step());
for (const end of ends) await end();
process.stdout.write(`${JSON.stringify(steps)}\n`);
