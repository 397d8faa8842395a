import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { fileSystemPrint, isSameFileSystem, printOf } from '../../src/catalog/file-system-print.js';
import { skip } from '../helpers/skip.js';
import { mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const born = { dev: 1n, ino: 2n, birthtimeNs: 1_700_000_000_000_000_001n };
const unborn = { ...born, birthtimeNs: 0n };
const size = { type: 0xef53n, bsize: 4096n, blocks: 1000n };

test('a file system whose topmost folder has a time of birth is known by that, on whichever device and of whatever size', t => {
  const print = printOf(born, size);
  t.is(printOf({ ...born, dev: 9n }, { ...size, blocks: 2000n }), print);
  t.not(printOf({ ...born, birthtimeNs: born.birthtimeNs + 1n }, size), print);
  t.not(printOf({ ...born, ino: 3n }, size), print);
  t.not(printOf(born, { ...size, type: 1n }), print);
});

test('one without is known by its device number and its size', t => {
  const print = printOf(unborn, size);
  t.not(printOf({ ...unborn, dev: 9n }, size), print);
  t.not(printOf(unborn, { ...size, blocks: 1001n }), print);
  t.not(printOf(unborn, { ...size, bsize: 512n }), print);
  t.not(printOf(born, size), print);
});

test('the number of an old snapshot, which is a device number, is compared with that', t => {
  const found = { device: 5n, print: printOf(born, size) };
  t.true(isSameFileSystem(found.print, found));
  t.true(isSameFileSystem(5n, found));
  t.false(isSameFileSystem(6n, found));
});

test('all folders of a file system have one print, and those of another have another', t => {
  const folder = temporaryFolder(t);
  const deep = join(folder, 'a', 'b');
  mkdirSync(deep, { recursive: true });
  const print = fileSystemPrint(folder);
  t.is(fileSystemPrint(deep), print);
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  mountSmallDisk(t, join(folder, 'a'), 1024 * 1024);
  mkdirSync(deep);
  t.not(statSync(deep).ino, statSync(folder).ino);
  t.not(fileSystemPrint(deep), print);
  t.is(fileSystemPrint(deep), fileSystemPrint(join(folder, 'a')));
});
