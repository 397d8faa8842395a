import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { takeLock } from '../../src/platform/lock.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const newPath = (t: ExecutionContext): string => join(temporaryFolder(t), 'lock');

/** A lock as this process would write it, with some fields changed. */
function writeLock(path: string, changes: object): void {
  const lock = takeLock(path);
  const holder = JSON.parse(readFileSync(path, 'utf8'));
  lock.release();
  writeFileSync(path, JSON.stringify({ ...holder, ...changes }));
}

test('the lock of a live process is refused and stays', t => {
  const path = newPath(t);
  const lock = takeLock(path);
  const text = readFileSync(path, 'utf8');
  t.like(
    t.throws(() => takeLock(path)),
    { code: 'STATE_LOCKED', blame: 'operator', pid: process.pid },
  );
  t.is(readFileSync(path, 'utf8'), text);
  lock.release();
  t.notThrows(() => takeLock(path));
});

test('the lock of a process that was killed is taken over', async t => {
  const path = newPath(t);
  const module = new URL('../../src/platform/lock.js', import.meta.url).href;
  const code = `const { takeLock } = await import(${JSON.stringify(module)}); takeLock(process.argv[1]); console.log('held'); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  t.throws(() => takeLock(path), { code: 'STATE_LOCKED' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.notThrows(() => takeLock(path));
  t.deepEqual(readdirSync(join(path, '..')), ['lock']);
});

test('nothing is left of a lock for which there is no room', t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  mountSmallDisk(t, folder, 64 * 1024);
  fillDisk(join(folder, 'filler'));
  t.throws(() => takeLock(join(folder, 'lock')), { code: 'ENOSPC' });
  t.deepEqual(readdirSync(folder), ['filler']);
});

for (const [what, changes] of [
  ['a process that got the same id later', { started: '1' }],
  ['an earlier boot', { boot: 'another' }],
  ['nobody, in words that this program does not write', { pid: 'x' }],
] as const) {
  test(`a lock by ${what} is stale`, t => {
    const path = newPath(t);
    writeLock(path, changes);
    t.notThrows(() => takeLock(path));
  });
}

test('a lock of which a power cut has left zeros or a part is stale, and a file that is no lock is left alone', t => {
  for (const text of ['', '\0'.repeat(80), '{"pi', '{"pid":12,"sta']) {
    const path = newPath(t);
    writeFileSync(path, text);
    t.notThrows(() => takeLock(path), JSON.stringify(text));
  }
  const path = newPath(t);
  writeFileSync(path, 'my notes about locks');
  t.throws(() => takeLock(path), { code: 'LOCK_FOREIGN' });
  t.is(readFileSync(path, 'utf8'), 'my notes about locks');
});

test('releasing does not remove the lock of somebody who took it over', t => {
  const path = newPath(t);
  const lock = takeLock(path);
  writeFileSync(path, '{"pid":1,"started":"1","boot":""}');
  lock.release();
  t.is(readFileSync(path, 'utf8'), '{"pid":1,"started":"1","boot":""}');
});
