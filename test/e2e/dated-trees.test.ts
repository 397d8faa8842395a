/** Dated trees: any snapshot as plain files in a store, while the store goes on with its work. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { readIfThere } from '../../src/platform/durable.js';
import { type JsonRecord, RealCluster } from '../helpers/real-cluster.js';

const FILES = 60;
const EVERY = '365d';

/** Each file of a `.b3` is there with the bytes that it says; how many. */
function checkSums(folder: string, list: string): number {
  const lines = readFileSync(join(folder, list), 'utf8').split('\n').slice(0, -1);
  for (const line of lines) {
    const [hash = '', path = ''] = line.split('  ');
    if (hashHex(readFileSync(join(folder, path))) !== hash)
      throw new Error(`${path} has other bytes than ${list} says`);
  }
  return lines.length;
}

test('an older snapshot stands as plain files beside the newest, through a restart, until it is removed or nothing of it is held', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  mkdirSync(join(source, 'd'));
  const write = (round: number): void => {
    for (let n = 0; n < FILES; n += 1)
      writeFileSync(join(source, 'd', `${n}`), `round ${n % 2 === 0 ? round : 0}, file ${n}`);
  };
  write(1);
  const store = cluster.makeFolder('b.store');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const plan = (more: object) => ({
    defaults: { copies: 1 },
    hosts: { a: { sources: { pics: { path: source, every: EVERY } } }, b: { stores: [{ path: store }] }, ...more },
    timing: { surplus: '1s', trash: '1s' },
  });
  await cluster.apply(plan({}));
  const backUp = async (): Promise<JsonRecord> =>
    (await a.records('backup', 'pics', '--wait', '--timeout', '60s')).at(-1) ?? {};
  const first = await backUp();
  // Of one second only one has a tree.
  await cluster.until('another second', () => Date.now() > Date.parse(String(first.time)) + 1000);
  write(2);
  const second = await backUp();
  await cluster.until('b knows both', async () =>
    (await b.records('snapshots', 'pics')).some(({ id }) => id === second.id),
  );
  const id = String(first.id).slice(0, 8);

  const elsewhere = await a.run('--json', 'tree', `pics@${id}`);
  t.is(elsewhere.code, 2);
  t.like(JSON.parse(elsewhere.err), { code: 'NO_STORE' });
  const part = await b.run('tree', `pics@${id}:d`);
  t.is(part.code, 2);
  t.regex(part.err, /a tree is of a whole snapshot/);
  const unknown = await b.run('--json', 'tree', `pics@${id}`, '--store', '/nowhere');
  t.like(JSON.parse(unknown.err), { code: 'STORE_UNKNOWN' });
  t.regex(unknown.err, /there are: .*b\.store/);
  t.like(JSON.parse((await b.run('--json', 'tree', 'pics', '--remove')).err), { code: 'TREE_UNKNOWN' });

  const [made] = await b.records('tree', `pics@${id}`, '--store', store);
  t.like(made, {
    message_type: 'tree',
    snapshot: first.id,
    files: FILES,
    placed: FILES,
    unplaced: 0,
    not_held: 0,
    removed: false,
  });
  const path = String(made?.path);
  const name = path.slice(path.lastIndexOf('/') + 1);
  t.regex(name, /^pics@\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
  const origin = join(store, 'a');
  t.is(readFileSync(join(path, 'd', '0'), 'utf8'), 'round 1, file 0');
  t.is(checkSums(origin, `${name}.b3`), FILES);
  // Names of what is held anyway.
  t.is(lstatSync(join(path, 'd', '0')).nlink, 2);
  t.is((await b.ok('tree', `pics@${id}`)).trim(), path);

  // The newest goes on, the dated one stays; b has nothing of it in memory.
  await b.stop();
  await b.up();
  write(3);
  const third = await backUp();
  await cluster.until(
    'the tree of the newest',
    () => readIfThere(`${origin}/pics.snapshot`)?.toString() === `${third.id}\n`,
  );
  t.is(readFileSync(join(origin, 'pics', 'd', '0'), 'utf8'), 'round 3, file 0');
  t.is(readFileSync(join(path, 'd', '0'), 'utf8'), 'round 1, file 0');
  t.is(checkSums(origin, `${name}.b3`), FILES);

  // Removed by a person: one, then what is left.
  const other = String((await b.records('tree', `pics@${String(second.id).slice(0, 8)}`))[0]?.path);
  t.like((await b.records('tree', `pics@${String(second.id).slice(0, 8)}`, '--remove'))[0], {
    path: other,
    removed: true,
  });
  t.false(existsSync(other));
  t.true(existsSync(path));
  t.is((await b.ok('tree', 'pics', '--remove')).trim(), `removed: ${path}`);
  t.deepEqual(readdirSync(origin).sort(), ['pics', 'pics.b3', 'pics.snapshot']);

  // What is dropped here leaves it; with the last of it goes the tree.
  await b.ok('tree', `pics@${id}`);
  await cluster.apply(plan({ c: { stores: [{ path: cluster.makeFolder('c.store') }] } }));
  await a.ok('drain', 'b');
  await cluster.until('the dated tree is gone', () => !existsSync(path) && !existsSync(`${path}.snapshot`));
  t.deepEqual(
    readdirSync(origin).filter(one => one.includes('@')),
    [],
  );
  const [moved] = await c.records('tree', `pics@${id}`);
  t.like(moved, { placed: FILES, not_held: 0 });
  t.is(readFileSync(join(String(moved?.path), 'd', '0'), 'utf8'), 'round 1, file 0');
});
