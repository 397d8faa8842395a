import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { ABSENCE_MEMORY_MS } from '../../src/core/absence.js';
import { type HostId, parseHostId } from '../../src/core/ids.js';
import { AbsenceKeeper } from '../../src/daemon/absence-keeper.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const A = parseHostId('a'.repeat(32));
const B = parseHostId('b'.repeat(32));

/** A keeper that was made at `wallMs`. */
function keeper(stateDir: string, wallMs: number, members: readonly HostId[] = [A, B]): AbsenceKeeper {
  const log = pino({ level: 'silent' });
  return new AbsenceKeeper({ stateDir, wallMs: () => wallMs, isMember: host => members.includes(host), log });
}

const noted = (lengthMs: number, agoMs = 0) => ({ host: A, lengthMs, agoMs, wasDead: true });

test('what was noted is there after a restart, older by the time that we were off', async t => {
  const stateDir = temporaryFolder(t);
  const before = keeper(stateDir, 1_000_000);
  t.deepEqual(before.past(), []);
  before.note(noted(5_000, 300));
  before.note({ host: B, lengthMs: 7_000, agoMs: 0, wasDead: false });
  await before.close();
  t.deepEqual(keeper(stateDir, 1_004_000).past(), [
    noted(5_000, 4_300),
    { host: B, lengthMs: 7_000, agoMs: 4_000, wasDead: false },
  ]);
});

test('where the wall clock was set back, an absence has ended just now', async t => {
  const stateDir = temporaryFolder(t);
  const before = keeper(stateDir, 1_000_000);
  before.note(noted(5_000));
  await before.close();
  t.deepEqual(keeper(stateDir, 500).past(), [noted(5_000, 0)]);
});

test('what is older than 14 days, and what is told of hosts that left, goes with the next write', async t => {
  const stateDir = temporaryFolder(t);
  const before = keeper(stateDir, 1_000_000);
  before.note(noted(5_000));
  before.note({ ...noted(5_000), host: B });
  await before.close();
  const later = keeper(stateDir, 1_000_000 + ABSENCE_MEMORY_MS - 1);
  later.note({ ...noted(1), host: B });
  await later.close();
  t.is(keeper(stateDir, 1_000_000 + ABSENCE_MEMORY_MS).past().length, 3);
  const last = keeper(stateDir, 1_000_000 + ABSENCE_MEMORY_MS, [A]);
  last.note(noted(2));
  await last.close();
  t.deepEqual(
    keeper(stateDir, 1_000_000 + ABSENCE_MEMORY_MS)
      .past()
      .map(({ host, lengthMs }) => ({ host, lengthMs })),
    [{ host: A, lengthMs: 2 }],
  );
});

test('a damaged file costs what was learned and nothing else', async t => {
  const stateDir = temporaryFolder(t);
  const file = join(stateDir, 'absences.json');
  for (const text of [
    '{',
    '{"hosts":{"x":[]}}',
    `{"hosts":{"${A}":[{"lengthMs":-1,"endedAtMs":0,"wasDead":false}]}}`,
  ]) {
    writeFileSync(file, text);
    const anew = keeper(stateDir, 1_000);
    t.deepEqual(anew.past(), []);
    anew.note(noted(5));
    await anew.close();
    t.true(readFileSync(file, 'utf8').includes('"lengthMs": 5'));
  }
});
