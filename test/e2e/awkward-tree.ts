/**
 * Awkward tree: a source with everything that a real folder may hold and a backup may get wrong.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { acl, setRawXattr, whyNoXattrs } from '../helpers/raw-xattrs.js';

const MiB = 1024 * 1024;
/** From here on a file is a parcel of its own. */
const BOUNDARY_BYTES = 8 * MiB;
/** What Linux takes in one call, without the NUL at its end. */
const PATH_BYTES_MAX = 4095;
const NAME_BYTES_MAX = 255;
/** Enough for several parcels of small files. */
const SMALL_FILES = 300;
/** With 5 MB of zeros in the middle, and with 20 MB at its end, which makes it a parcel of its own. */
export const SPARSE = ['sparse/middle', 'sparse/end'];

/** Without extended attributes where temporary files can have none (`whyNoXattrs`). */
export function makeAwkwardTree(root: string): void {
  const at = (...names: readonly (string | Buffer)[]): Buffer =>
    Buffer.concat([Buffer.from(root), ...names.flatMap(name => [Buffer.from('/'), Buffer.from(name)])]);
  const folder = (...names: readonly (string | Buffer)[]): Buffer => {
    mkdirSync(at(...names), { recursive: true });
    return at(...names);
  };
  const write = (content: string | Uint8Array, ...names: readonly (string | Buffer)[]): Buffer => {
    if (names.length > 1) folder(...names.slice(0, -1));
    writeFileSync(at(...names), content);
    return at(...names);
  };
  folder();

  // Sizes.
  const big = randomBytes(BOUNDARY_BYTES + 1);
  write('', 'empty');
  write('', 'sizes', 'empty too');
  write(randomBytes(1), 'sizes', 'one byte');
  write(big.subarray(0, BOUNDARY_BYTES - 1), 'sizes', 'boundary - 1');
  write(big.subarray(0, BOUNDARY_BYTES), 'sizes', 'boundary');
  write(big, 'sizes', 'boundary + 1');
  write(Buffer.alloc(2 * MiB), 'sizes', 'zeros');

  // Names.
  for (const name of [
    'grüße ✓ 日本語 🐿',
    'e\u0301 decomposed',
    '\u00e9 composed',
    'line\nbreak',
    '\n',
    '-rf',
    '--',
    ' leading and trailing ',
    'tab\tand\rreturn\u001b[31m',
    'back\\slash \\xff',
    `"quotes" 'n' $(things) *?[a-z]`,
    'colon:at@comma,',
    'README',
    'readme',
    'n'.repeat(NAME_BYTES_MAX),
    `${'ü'.repeat(127)}n`,
    '.scatterhoard',
    '.blobs',
    '.incoming',
    '...',
    '..hidden',
    'con',
    'pics.b3',
  ]) {
    write(`content of ${name}`, 'names', name);
  }
  write('not UTF-8', 'names', Buffer.from([0x62, 0xff, 0xfe, 0x80]));
  write('latin-1', 'names', Buffer.from('gr\u00fc\u00dfe', 'latin1'));
  write('below a name that is not UTF-8', Buffer.from([0xc3, 0x28, 0x2e]), Buffer.from([0xed, 0xa0, 0x80]), 'file');
  write('a file beside a folder whose name begins alike', 'names', 'alike.txt');
  write('in that folder', 'names', 'alike', 'file');

  // Symlinks: never followed, whatever they point to.
  folder('links');
  symlinkSync('../names/README', at('links', 'to a file'));
  symlinkSync('../names', at('links', 'to a folder'));
  symlinkSync('nothing is there', at('links', 'dangling'));
  symlinkSync('/nonexistent/outside', at('links', 'absolute'));
  symlinkSync('a loop', at('links', 'a loop'));
  symlinkSync(Buffer.from([0x2e, 0x2f, 0xff, 0x0a]), at('links', Buffer.from([0xfe])));
  symlinkSync('t'.repeat(PATH_BYTES_MAX), at('links', 'as long as can be'));

  // Hard links: of something, of nothing, of a parcel of its own, over folders.
  linkSync(write('three names', 'hard', 'first'), at('hard', 'second'));
  folder('hard', 'deeper');
  linkSync(at('hard', 'first'), at('hard', 'deeper', 'third'));
  linkSync(at('sizes', 'boundary'), at('hard', 'boundary again'));
  linkSync(write('', 'hard', 'empty'), at('hard', 'empty again'));

  // The same content under many names, next to each other and apart, small and big.
  for (const name of ['a', 'b', 'c']) write('the same', 'duplicates', name);
  write('the same', 'small', 'the same');
  write(big, 'duplicates', 'boundary + 1');

  for (let n = 0; n < SMALL_FILES; n += 1) write(randomBytes(n * 7), 'small', `${n % 10}`, `file ${n}`);

  folder('empty folder', 'in an empty folder');
  deepPath(root, 'at the bottom of a path as long as can be');

  // Holes, of which nothing is left but zeros when they are read.
  write(Buffer.concat([randomBytes(10), Buffer.alloc(5 * MiB), randomBytes(10)]), 'sparse', 'middle');
  truncateSync(write(randomBytes(100_000), 'sparse', 'end'), 20 * MiB);

  if (whyNoXattrs() === undefined) makeXattrs({ write, folder, at });

  // Modes; folders last, for what is in them must be written first.
  chmodSync(write('read only', 'modes', 'read only'), 0o444);
  chmodSync(write('nobody may', 'modes', 'nobody'), 0o000);
  chmodSync(write('everybody may', 'modes', 'everybody'), 0o777);
  chmodSync(write('set user', 'modes', 'setuid'), 0o4751);
  chmodSync(write('set group', 'modes', 'setgid'), 0o2715);
  chmodSync(folder('modes', 'setgid folder'), 0o2775);
  chmodSync(folder('modes', 'sticky folder'), 0o1777);
  write('in a read-only folder', 'modes', 'read-only folder', 'file');
  folder('modes', 'read-only folder', 'below');
  chmodSync(at('modes', 'read-only folder', 'below'), 0o500);
  chmodSync(at('modes', 'read-only folder'), 0o555);

  // Times: of other centuries, and to the microsecond; the rest have the nanoseconds of their making.
  utimesSync(write('before the epoch', 'times', 'before the epoch'), -86_400.25, -86_400.25);
  utimesSync(write('the epoch', 'times', 'the epoch'), 0, 0);
  utimesSync(write('after 2038', 'times', 'after 2038'), 4_102_444_800.125, 4_102_444_800.125);
  symlinkSync('of another time', at('times', 'symlink'));
  lutimesSync(at('times', 'symlink'), 1_000_000_000.5, 1_000_000_000.5);
  utimesSync(folder('times', 'folder'), 1_234_567_890.123456, 1_234_567_890.123456);
  utimesSync(at('times'), 946_684_800, 946_684_800);
}

interface Maker {
  readonly write: (content: string | Uint8Array, ...names: readonly string[]) => Buffer;
  readonly folder: (...names: readonly string[]) => Buffer;
  readonly at: (...names: readonly string[]) => Buffer;
}

/** Attributes of users, and ACLs, on whatever can have some; capabilities where we are root. */
function makeXattrs({ write, folder, at }: Maker): void {
  const several = write('several', 'xattrs', 'several');
  setRawXattr(several, 'user.b', 'second');
  setRawXattr(several, 'user.a', '');
  setRawXattr(several, Buffer.concat([Buffer.from('user.'), Buffer.of(0xff, 0x0a)]), Buffer.of(0, 0xff));
  setRawXattr(several, 'user.large', randomBytes(1500));
  setRawXattr(at('sizes', 'boundary'), 'user.parcel', 'of its own, and with two names');
  setRawXattr(at('empty'), 'user.empty', 'the file, not the attribute');
  setRawXattr(at(), 'user.source', 'of the folder itself');
  // The same content with an attribute and without.
  setRawXattr(at('duplicates', 'b'), 'user.one', 'of three');

  const locked = write('read only', 'xattrs', 'read-only folder', 'read only');
  setRawXattr(locked, 'user.locked', 'file');
  chmodSync(locked, 0o444);
  setRawXattr(at('xattrs', 'read-only folder'), 'user.locked', 'folder');
  chmodSync(at('xattrs', 'read-only folder'), 0o555);

  const user = { id: 12_345, rights: 6 };
  setRawXattr(write('somebody else may write', 'xattrs', 'acl'), 'system.posix_acl_access', acl({ mask: 6, user }));
  const shared = folder('xattrs', 'shared');
  const rights = acl({ owner: 7, mask: 7, others: 5, user: { ...user, rights: 7 } });
  for (const name of ['access', 'default']) setRawXattr(shared, `system.posix_acl_${name}`, rights);
  write('an ACL from its folder', 'xattrs', 'shared', 'inherited');
  folder('xattrs', 'shared', 'inherited too');
  chmodSync(shared, 0o2775);
  if (process.getuid?.() === 0) {
    const tool = write('may send raw packets', 'xattrs', 'tool');
    // cap_net_raw=ep (linux/capability.h): revision 2, effective, and bit 13.
    setRawXattr(tool, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  }
}

/**
 * A file whose absolute path is as long as the system takes. Below a store's tree it is longer: there it cannot be shown.
 */
function deepPath(root: string, content: string): void {
  const folders: string[] = [];
  const last = 'file';
  let left = PATH_BYTES_MAX - Buffer.byteLength(root) - 1 - last.length;
  // Each takes its bytes and a slash.
  for (; left > NAME_BYTES_MAX + 1; left -= NAME_BYTES_MAX) folders.push('d'.repeat(NAME_BYTES_MAX - 1));
  if (left > 1) folders.push('e'.repeat(left - 1));
  const path = [root, ...folders, last].join('/');
  if (Buffer.byteLength(path) !== PATH_BYTES_MAX) throw new Error(`a path of ${Buffer.byteLength(path)} bytes`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
