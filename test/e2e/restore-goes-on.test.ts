/** Restore goes on: of a large file whose restore was killed in its middle, only the rest goes over the network. */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { cluster as command } from '../cli/cli-fixture.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { sentBytes, whyNoSentBytes } from '../helpers/sent-bytes.js';
import { skip } from '../helpers/skip.js';

const MiB = 1024 * 1024;
/** What hosts tell each other while a restore runs, and what a stream's frames and encryption add, at the most. */
const TALK_BYTES_MAX = 4 * MiB;
/** In a tenth of a second a host that gives nothing says less. */
const SILENCE_BYTES_MAX = 200_000;

test.serial('when the restore of a large file was killed, only the rest comes from its holder', async t => {
  const why = whyNoSentBytes();
  if (why !== undefined) return skip(t, why);
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const store = { path: cluster.makeFolder('b.store'), limit: '2 GB' };
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: { a: { sources: { films: { path: source } } }, b: { stores: [store] } },
  });
  const film = seededBytes(100 * MiB, 1);
  writeFileSync(join(source, 'film'), film);
  await a.ok('backup', 'films', '--wait', '--timeout', '90s');
  await a.kill();

  const target = cluster.path('out');
  const mark = join(target, MARK_FOLDER);
  const begunBytes = (): number => {
    const [name] = existsSync(mark) ? readdirSync(mark).filter(one => one.startsWith('begun-')) : [];
    return name === undefined ? 0 : statSync(join(mark, name)).size;
  };
  const isHalf = cluster.until('half of it is here', () => begunBytes() > 50 * MiB, { everyMs: 1 });
  const args = ['--state', c.state, 'restore', 'films@latest', '--target', target, '--verify'];
  const killed = await command(args, { kill: { signal: 'SIGKILL', when: isHalf } });
  t.is(killed.code, null);
  const hereBytes = begunBytes();
  t.true(hereBytes > 50 * MiB && hereBytes < film.length, `${hereBytes} bytes are here`);

  let before = 0;
  await cluster.until('the holder gives no more', () => {
    const last = before;
    before = sentBytes(b);
    return before - last < SILENCE_BYTES_MAX;
  });
  await c.ok('restore', 'films@latest', '--target', target, '--verify');
  const sent = sentBytes(b) - before;
  const restBytes = film.length - hereBytes;
  t.true(sent >= restBytes && sent < restBytes + TALK_BYTES_MAX, `${sent} bytes were sent of the last ${restBytes}`);
  t.deepEqual(compareTrees(source, target), []);
  t.false(existsSync(mark));
});
