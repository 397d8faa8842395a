/**
 * Stand in: a call of node:fs as another file system would answer it, until the test is over. Everything in this process calls
 * it, so tests with one are serial.
 */
import fs, { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

type Call = (...given: never[]) => unknown;

export function standIn<Name extends keyof typeof fs>(
  t: ExecutionContext,
  name: Name,
  make: (real: Extract<(typeof fs)[Name], Call>) => (...given: Parameters<Extract<(typeof fs)[Name], Call>>) => unknown,
): void {
  const real = fs[name] as Extract<(typeof fs)[Name], Call>;
  const put = (call: unknown): void => {
    Object.assign(fs, { [name]: call });
    syncBuiltinESMExports();
  };
  put(make(real));
  t.teardown(() => put(real));
}

/** As node:fs throws it. */
export function failWith(code: string): never {
  throw Object.assign(new Error(`${code}: as the test has it`), { code });
}

/** The path by its names, of one that begins at an open folder. */
export function namedPath(path: unknown): string {
  const [, descriptor, rest = ''] = /^(\/proc\/self\/fd\/\d+)(\/.*)?$/s.exec(String(path)) ?? [];
  return descriptor === undefined ? String(path) : join(readlinkSync(descriptor), rest);
}

/** Calls by which a restore makes names, moves them and looks them up. */
const CALLS_WITH_NAMES = [
  'chmodSync',
  'copyFileSync',
  'linkSync',
  'lstatSync',
  'mkdirSync',
  'openSync',
  'readlinkSync',
  'renameSync',
  'rmdirSync',
  'rmSync',
  'symlinkSync',
  'unlinkSync',
] as const;

/** Below `folder`, names that `fold` makes equal are one, as the first of them was written. */
export function foldNames(t: ExecutionContext, folder: string, fold: (name: string) => string): void {
  const settled = (path: unknown): unknown => {
    if (!Buffer.isBuffer(path)) return path;
    const named = namedPath(path);
    if (!named.startsWith(`${folder}/`)) return path;
    let place = folder;
    for (const name of named.slice(folder.length + 1).split('/')) {
      const names = existsSync(place) ? readdirSync(place) : [];
      place = `${place}/${names.find(one => fold(one) === fold(name)) ?? name}`;
    }
    return Buffer.from(place);
  };
  for (const name of CALLS_WITH_NAMES)
    standIn(
      t,
      name,
      real =>
        (...given: unknown[]) =>
          (real as (...settled: unknown[]) => unknown)(...given.map(settled)),
    );
}
