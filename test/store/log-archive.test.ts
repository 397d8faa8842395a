import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { type LogOp, type LogSegment, logAfter, logStart } from '../../src/core/holdings-log.js';
import { type HostId, parseHostId, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { openIndexDatabase } from '../../src/store/index-database.js';

const store = parseStoreId('5a'.repeat(16));
const add = (byte: string): LogOp => ({ op: 'add', parcel: parseParcelId(byte.repeat(32)) });

function segmentOf(host: HostId, counter: number, ops: readonly LogOp[]): LogSegment {
  const start = logStart(store, { counter, random: '00'.repeat(8) });
  return { host, end: ops.reduce(logAfter, start), ops, signature: new Uint8Array(64) };
}

test('a log is its first writer’s: another host replaces it by no epoch', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  const index = openIndexDatabase(folder);
  t.teardown(async () => {
    await index.close();
    rmSync(folder, { recursive: true });
  });
  const [writer, stranger] = [parseHostId('aa'.repeat(16)), parseHostId('bb'.repeat(16))];
  t.is(await index.logs.append(segmentOf(writer, 1, [add('01'), add('02')])), 'appended');
  t.is(await index.logs.append(segmentOf(stranger, 9, [add('03')])), 'stranger');
  t.is(index.logs.segment(store, 0, 100)?.host, writer);
  t.is(await index.logs.append(segmentOf(writer, 2, [add('03')])), 'appended');
});
