import { closeSync, existsSync, openSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'ava';
import { posix } from '../../src/platform/posix.js';
import { rawXattrs, setRawXattr, whyNoXattrs } from '../helpers/raw-xattrs.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const folder = temporaryFolder({ teardown: test.after.always });
const calls = posix()?.xattrs;
const because = calls === undefined ? 'koffi did not load' : whyNoXattrs();

let files = 0;
function aFile(name = `file ${++files}`): Buffer {
  const path = Buffer.from(join(folder, name));
  writeFileSync(path, '');
  return path;
}

if (calls === undefined || because !== undefined) {
  test('extended attributes', t => skip(t, because ?? 'they cannot be had'));
} else {
  const listed = (path: Buffer): string[] =>
    calls
      .list(path)
      .map(name => name.toString('latin1'))
      .sort();

  test('attributes of a file that is open are those of the file, whatever its name leads to', t => {
    const path = aFile();
    const name = Buffer.from('user.a');
    calls.set(path, name, Buffer.from('x'));
    const descriptor = openSync(path, 'r');
    t.teardown(() => closeSync(descriptor));
    unlinkSync(path);
    aFile(basename(path.toString()));
    t.deepEqual(calls.list(descriptor), [name]);
    t.deepEqual(calls.get(descriptor, name), Buffer.from('x'));
    t.is(calls.get(descriptor, Buffer.from('user.b')), undefined);
    t.like(
      t.throws(() => calls.list(-1)),
      { code: 'EBADF', syscall: 'listxattr' },
    );
  });

  test('what is set is there, and what is there is listed and read: names and values are bytes', t => {
    const path = aFile();
    const odd = Buffer.concat([Buffer.from('user.'), Buffer.of(0xff, 0x0a, 0x20)]);
    calls.set(path, odd, Buffer.of(0, 255, 0));
    calls.set(path, Buffer.from('user.empty'), Buffer.alloc(0));
    t.deepEqual(rawXattrs(path), { 'user.empty': '', 'user.\xff\n ': '00ff00' });

    setRawXattr(path, 'user.third', 'by somebody else');
    t.deepEqual(listed(path), ['user.empty', 'user.third', 'user.\xff\n '].sort());
    t.deepEqual(calls.get(path, odd), Buffer.of(0, 255, 0));
    t.deepEqual(calls.get(path, Buffer.from('user.empty')), Buffer.alloc(0));
    t.is(calls.get(path, Buffer.from('user.third'))?.toString(), 'by somebody else');
  });

  test('a value is replaced, one that goes is gone, and what is not there is no failure', t => {
    const path = aFile();
    const name = Buffer.from('user.name');
    t.deepEqual(listed(path), []);
    t.is(calls.get(path, name), undefined);
    calls.set(path, name, Buffer.from('a longer value'));
    calls.set(path, name, Buffer.from('short'));
    t.deepEqual(rawXattrs(path), { 'user.name': Buffer.from('short').toString('hex') });
    calls.remove(path, name);
    t.deepEqual(rawXattrs(path), {});
    t.notThrows(() => calls.remove(path, name));
  });

  test('a path that is not UTF-8 is reached by its bytes', t => {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0xfe)]);
    writeFileSync(path, '');
    calls.set(path, Buffer.from('user.a'), Buffer.from('x'));
    t.deepEqual(rawXattrs(path), { 'user.a': '78' });
    t.deepEqual(listed(path), ['user.a']);
  });

  test('a symlink is looked at itself, and what it points to is left alone', t => {
    const target = aFile('target');
    const link = Buffer.from(join(folder, 'link'));
    symlinkSync('target', link);
    setRawXattr(target, 'user.of-the-target', 'x');
    t.deepEqual(listed(link), []);
    // Linux lets nobody set user attributes of symlinks.
    t.like(
      t.throws(() => calls.set(link, Buffer.from('user.a'), Buffer.from('x'))),
      { code: 'EPERM', syscall: 'setxattr' },
    );
    t.deepEqual(Object.keys(rawXattrs(target)), ['user.of-the-target']);
  });

  test('a failed call throws with code, system call and path', t => {
    const path = join(folder, 'nothing');
    t.like(
      t.throws(() => calls.list(Buffer.from(path))),
      { code: 'ENOENT', syscall: 'listxattr', path },
    );
    t.like(
      t.throws(() => calls.get(Buffer.from(path), Buffer.from('user.a'))),
      { code: 'ENOENT', syscall: 'getxattr', path },
    );
    t.throws(() => calls.list(Buffer.from('a\0b')), { instanceOf: TypeError });
    t.throws(() => calls.set(aFile(), Buffer.from('user.a\0b'), Buffer.alloc(0)), { instanceOf: TypeError });
  });

  test('where the file system has no attributes, there are none, and none can be set', t => {
    // Mounted nearly everywhere; not all of them refuse on every kernel.
    const lacking = ['/sys/kernel/security', '/sys/fs/bpf', '/proc/sys/fs/binfmt_misc'].find(
      path => existsSync(path) && refuses(path),
    );
    if (lacking === undefined) return skip(t, 'every file system here has attributes');
    t.deepEqual(listed(Buffer.from(lacking)), []);
    t.throws(() => calls.set(Buffer.from(lacking), Buffer.from('user.a'), Buffer.of(1)), {
      message: /NOTSUPP?: /,
    });
  });
}

function refuses(path: string): boolean {
  try {
    rawXattrs(path);
    return false;
  } catch {
    // That it fails is the answer.
    return true;
  }
}
