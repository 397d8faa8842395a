/**
 * A program for scan-xattrs.test.ts: a snapshot with the system calls that koffi brings, and one without. Prints what each said,
 * as one line of JSON. It is started with `WITHOUT_KOFFI` as an import, which the scan's own thread inherits.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { escapePath } from '../../src/catalog/path-text.js';
import { scan } from '../../src/catalog/scan.js';
import { setRawXattr } from '../helpers/raw-xattrs.js';
import { anyTimeMs, aSource, ScratchSource } from './scratch-source.js';

/** More than a scan finds before somebody takes it. */
const FILES_AHEAD_MIN = 2000;

const ends: (() => void | Promise<void>)[] = [];
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
// Takes the thread of the scan before and does not come to its end, so that the next one is a new one.
const many = join(source.folder, 'many');
mkdirSync(many);
for (let n = 0; n < FILES_AHEAD_MIN; n += 1) writeFileSync(join(many, String(n)), '');
const held = scan({ path: many, source: aSource, cachePath: undefined, nowMs: anyTimeMs });
await held.next();
process.env.WITHOUT_KOFFI = 'yes';
source.write({ changed: 'after', new: 'never seen before' });
steps.push(await step());
await held.return(undefined);
for (const end of ends.reverse()) await end();
process.stdout.write(`${JSON.stringify(steps)}\n`);
