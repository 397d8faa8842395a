/**
 * Stand in: a call of node:fs as another file system would answer it, until the test is over. Everything in this process calls
 * it, so tests with one are serial.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import type { ExecutionContext } from 'ava';

export function standIn<Name extends 'fsyncSync' | 'linkSync' | 'mkdirSync' | 'symlinkSync'>(
  t: ExecutionContext,
  name: Name,
  make: (real: (typeof fs)[Name]) => (...given: Parameters<(typeof fs)[Name]>) => void,
): void {
  const real = fs[name];
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
