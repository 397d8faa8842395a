/**
 * File system print: a number by which the next scan notices that a source's folder lies on another file system.
 *
 * The device number alone does not tell: the next USB stick in a port gets that of the last one, and with btrfs, NFS or
 * another port the same disk gets another one at each boot. The topmost folder of a file system keeps its inode and its
 * time of birth for as long as there is that file system. Where that folder has no time of birth (FAT, some ext4), the
 * device number and the size stand in for it: two disks of one make are then taken for the same.
 *
 * No print proves anything: take-snapshot.ts believes in another disk only if names are gone, too.
 */
import { type BigIntStats, type BigIntStatsFs, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { hash } from '../core/hash.js';
import type { NameStat } from '../platform/stat-calls.js';

/** Where a source's folder was found. */
export interface FileSystemFound {
  readonly device: bigint;
  readonly print: bigint;
}

/** `last`: of a snapshot; before there were prints, the device number stood there. */
export const isSameFileSystem = (last: bigint, { device, print }: FileSystemFound): boolean =>
  last === print || last === device;

/** `folder`: absolute, as Latin-1, without a symlink in it. @throws as stat does */
export function fileSystemPrint(folder: string): bigint {
  const statOf = (path: string): BigIntStats => statSync(Buffer.from(path, 'latin1'), { bigint: true });
  let top = folder;
  let stat = statOf(top);
  for (let above = dirname(top); above !== top; above = dirname(top)) {
    const found = statOf(above);
    if (found.dev !== stat.dev) break;
    [top, stat] = [above, found];
  }
  return printOf(stat, statfsSync(Buffer.from(top, 'latin1'), { bigint: true }));
}

export function printOf(
  { dev, ino, birthtimeNs }: Pick<NameStat, 'dev' | 'ino' | 'birthtimeNs'>,
  { type, bsize, blocks }: Pick<BigIntStatsFs, 'type' | 'bsize' | 'blocks'>,
): bigint {
  const rest = birthtimeNs > 0n ? ['born', birthtimeNs] : ['on', dev, bsize, blocks];
  return Buffer.from(hash(Buffer.from([type, ino, ...rest].join(' ')))).readBigUInt64LE();
}
