import { execFile } from 'node:child_process';
import { closeSync, lstatSync, openSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { lutimes, posix, posixFault } from '../../src/platform/posix.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const run = promisify(execFile);
const folder = temporaryFolder({ teardown: test.after.always });
const calls = posix();

test('where the calls cannot be had, the reason is kept; where they can, there is none', async t => {
  t.is(posixFault() === undefined, calls !== undefined);
  const elsewhere = `
    Object.defineProperty(process, 'platform', { value: 'plan9' });
    const { posix, posixFault } = await import(${JSON.stringify(new URL('../../src/platform/posix.js', import.meta.url))});
    console.log(posix(), posixFault());`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', elsewhere]);
  t.is(stdout.trim(), 'undefined no system calls are known for plan9');
});

if (calls === undefined) {
  test('without koffi a time is left alone and the caller is told', t => {
    t.false(lutimes(Buffer.from(folder), 1n));
  });

  test('the system calls', t => skip(t, `koffi did not load: ${posixFault()}`));
} else {
  test('a modification time round-trips to the nanosecond, before 1970 too', t => {
    const path = join(folder, 'times');
    writeFileSync(path, '');
    // ext4 keeps −2^31 s to somewhere above 2^33 s; at its bounds it drops the nanoseconds.
    const timesNs = fc.bigInt({ min: -(2n ** 31n - 1n) * 1_000_000_000n, max: 2n ** 33n * 1_000_000_000n });
    const law = fc.property(timesNs, mtimeNs => {
      calls.utimensat(Buffer.from(path), mtimeNs, { followSymlink: true });
      return statSync(path, { bigint: true }).mtimeNs === mtimeNs;
    });
    t.notThrows(() => fc.assert(law));
  });

  test('the access time stays as it was', t => {
    const path = join(folder, 'access');
    writeFileSync(path, '');
    const before = statSync(path, { bigint: true }).atimeNs;
    t.true(lutimes(Buffer.from(path), 5n));
    t.is(statSync(path, { bigint: true }).atimeNs, before);
  });

  test('a symlink gets its own time, and its target keeps its own', t => {
    const target = join(folder, 'target');
    const link = join(folder, 'link');
    writeFileSync(target, '');
    symlinkSync('target', link);
    const before = statSync(target, { bigint: true }).mtimeNs;
    lutimes(Buffer.from(link), 1_234_567_890_123_456_789n);
    t.is(lstatSync(link, { bigint: true }).mtimeNs, 1_234_567_890_123_456_789n);
    t.is(statSync(target, { bigint: true }).mtimeNs, before);
  });

  test('a name that is not UTF-8 is reached by its bytes', t => {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0xfe)]);
    writeFileSync(path, '');
    lutimes(path, 42n);
    t.is(lstatSync(path, { bigint: true }).mtimeNs, 42n);
  });

  test('a failed call throws with code, system call and path', t => {
    const path = join(folder, 'nothing');
    t.like(
      t.throws(() => lutimes(Buffer.from(path), 1n)),
      { code: 'ENOENT', syscall: 'utimensat', path },
    );
    t.throws(() => lutimes(Buffer.from('a\0b'), 1n), { instanceOf: TypeError });
  });

  test('syncfs returns for an open file system and throws for a descriptor that is none', async t => {
    const { syncfs } = calls;
    if (syncfs === undefined) return skip(t, 'there is no syncfs');
    const fd = openSync(folder, 'r');
    await t.notThrowsAsync(syncfs(fd));
    closeSync(fd);
    t.like(await t.throwsAsync(syncfs(99_999)), { code: 'EBADF', syscall: 'syncfs' });
  });
}
