/** `cluster key export`: the admin key as its file, for whoever asks for it plainly, and only where it is. */
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, MAIN, recordsOf } from './cli-fixture.js';

async function founded(t: ExecutionContext, host = 'imac') {
  const state = join(temporaryFolder(t), 'state');
  await cluster(['--state', state, 'init', '--name', 'home', '--host', host]);
  const file = join(state, 'admin.key');
  const exported = (...words: readonly string[]) => cluster(['--state', state, 'key', 'export', ...words]);
  return { state, file, exported };
}

test('what is exported is the file, byte for byte, and works in its place', async t => {
  const { file, exported } = await founded(t);
  const { code, out, err } = await exported();
  t.is(code, 0);
  t.is(out, readFileSync(file, 'utf8'));
  t.regex(err, /the admin key of the cluster home: who has it can change all of it/);
  t.false(err.includes(JSON.parse(out).seed));
  rmSync(file);
  writeFileSync(file, out, { mode: 0o600 });
  t.is((await exported()).out, out);
  const [record] = recordsOf((await exported('--json')).out);
  t.like(record, { message_type: 'admin_key', cluster: 'home', public: JSON.parse(out).public, file: out });
});

test('a host without the key says which have one, and one with another cluster’s key prints nothing', async t => {
  const { file, exported } = await founded(t);
  const other = await founded(t, 'mini');
  writeFileSync(file, (await other.exported()).out);
  const foreign = await exported();
  t.deepEqual([foreign.code, foreign.out], [12, '']);
  t.regex(foreign.err, /none of this cluster.*The key is on: imac/);
  rmSync(file);
  const none = await exported();
  t.deepEqual([none.code, none.out], [12, '']);
  t.regex(none.err, /this host has no admin key; it is on: imac/);
  t.is((await cluster(['--state', temporaryFolder(t), 'key', 'export'])).code, 10);
});

test('a key that others can read is not handed on as if nothing had happened', async t => {
  const { file, exported } = await founded(t);
  chmodSync(file, 0o644);
  const { code, out, err } = await exported();
  t.deepEqual([code, out], [1, '']);
  t.regex(err, /can be read by others/);
});

test('on a terminal it is printed only when that is asked for', async t => {
  const script = (...words: readonly string[]) =>
    promisify(execFile)('script', words, { timeout: 20_000 }).catch((error: { stdout?: string }) => error);
  if (!(await script('--version')).stdout?.includes('util-linux')) return skip(t, 'no script program gives a terminal');
  const { state, file } = await founded(t);
  const { seed } = JSON.parse(readFileSync(file, 'utf8')) as { readonly seed: string };
  const onTerminal = async (...words: readonly string[]) => {
    const command = [process.execPath, MAIN, '--state', state, 'key', 'export', ...words]
      .map(one => `'${one}'`)
      .join(' ');
    return (await script('--quiet', '--return', '--command', command, '/dev/null')).stdout ?? '';
  };
  for (const words of [[], ['--json']]) {
    const refused = await onTerminal(...words);
    t.false(refused.includes(seed));
    t.regex(refused, /this is a terminal: .*--show prints it here/s);
  }
  t.true((await onTerminal('--show')).includes(seed));
});
