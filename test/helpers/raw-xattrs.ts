/**
 * Raw xattrs: what the kernel says about a path's extended attributes, by its own system calls and with no code of the
 * program: so the answer is evidence. Linux only; elsewhere nothing can tell, and tests skip.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type koffiModule from 'koffi';
import { newTemporaryFolder } from './temporary-folder.js';

interface Calls {
  list(path: Buffer, names: Buffer, bytes: number): number;
  get(path: Buffer, name: Buffer, value: Buffer, bytes: number): number;
  set(path: Buffer, name: Buffer, value: Buffer, bytes: number, flags: number): number;
}

const BYTES_MAX = 64 * 1024;

let calls: Calls | undefined;

/** All attributes of the path itself, names in latin1 and values in hex, in the order of their names. */
export function rawXattrs(path: string | Buffer): Readonly<Record<string, string>> {
  if (process.platform !== 'linux') throw new Error('raw attributes are read on Linux only');
  const { list, get } = load();
  const names = Buffer.alloc(BYTES_MAX);
  const bytes = list(text(path), names, BYTES_MAX);
  if (bytes < 0) throw new Error(`llistxattr failed on ${path}`);
  const found = names
    .toString('latin1', 0, Math.max(bytes - 1, 0))
    .split('\0')
    .sort();
  return Object.fromEntries(
    found
      .filter(name => name !== '')
      .map(name => {
        const value = Buffer.alloc(BYTES_MAX);
        const size = get(text(path), text(Buffer.from(name, 'latin1')), value, BYTES_MAX);
        if (size < 0) throw new Error(`lgetxattr failed on ${path}: ${name}`);
        return [name, value.toString('hex', 0, size)];
      }),
  );
}

export function setRawXattr(path: string | Buffer, name: string | Buffer, value: string | Uint8Array): void {
  const bytes = Buffer.from(value);
  if (load().set(text(path), text(name), bytes, bytes.length, 0) !== 0)
    throw new Error(`lsetxattr failed on ${path}: ${name}`);
}

/** Why attributes cannot be tested in temporary folders on this system; undefined where they can. */
export function whyNoXattrs(): string | undefined {
  if (process.platform !== 'linux') return 'raw attributes are read on Linux only';
  try {
    load();
  } catch (error) {
    return `koffi did not load: ${error instanceof Error ? error.message : String(error)}`;
  }
  const folder = newTemporaryFolder();
  try {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    setRawXattr(file, 'user.trial', 'x');
    setRawXattr(file, 'system.posix_acl_access', acl({ mask: 4, user: { id: 1, rights: 4 } }));
    return undefined;
  } catch (error) {
    return `the file system of ${tmpdir()} takes no attributes: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * An ACL as the kernel keeps it (linux/posix_acl_xattr.h), with one user besides the owner and r-- for the owning
 * group. The mask is what the mode shows as the group's rights.
 */
export function acl({
  owner = 6,
  mask,
  others = 4,
  user,
}: {
  readonly owner?: number;
  readonly mask: number;
  readonly others?: number;
  readonly user: { readonly id: number; readonly rights: number };
}): Buffer {
  const NOBODY_IN_PARTICULAR = 0xffff_ffff;
  const entries = [
    [0x01, owner, NOBODY_IN_PARTICULAR],
    [0x02, user.rights, user.id],
    [0x04, 4, NOBODY_IN_PARTICULAR],
    [0x10, mask, NOBODY_IN_PARTICULAR],
    [0x20, others, NOBODY_IN_PARTICULAR],
  ] as const;
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [index, [tag, rights, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(rights, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

function load(): Calls {
  if (calls !== undefined) return calls;
  const koffi: typeof koffiModule = createRequire(import.meta.url)('koffi');
  const libc = koffi.load(null);
  const bytes = 'uint8_t *';
  calls = {
    list: libc.func('llistxattr', 'intptr_t', [bytes, bytes, 'size_t']),
    get: libc.func('lgetxattr', 'intptr_t', [bytes, bytes, bytes, 'size_t']),
    set: libc.func('lsetxattr', 'int', [bytes, bytes, bytes, 'size_t', 'int']),
  };
  return calls;
}

const text = (bytes: string | Buffer): Buffer => Buffer.concat([Buffer.from(bytes as string), Buffer.of(0)]);
