import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { pino } from 'pino';
import { type ParcelId, parseParcelId } from '../../src/core/ids.js';
import { NOTES_AT_ONCE, UnwantedWriting } from '../../src/daemon/unwanted-writing.js';
import type { UnwantedChange } from '../../src/store/unwanted-notes.js';
import { until } from '../helpers/until.js';

const idOf = (n: number): ParcelId => parseParcelId(n.toString(16).padStart(64, '0'));

function aWriting(
  change: (changes: readonly UnwantedChange[]) => Promise<void> = async () => undefined,
  { againMs = 60_000 }: { readonly againMs?: number } = {},
) {
  const written: (readonly UnwantedChange[])[] = [];
  const lines: object[] = [];
  const writing = new UnwantedWriting({
    notes: {
      change: async changes => {
        await change(changes);
        written.push([...changes]);
      },
    },
    againMs,
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as object) }),
  });
  return { writing, written, lines };
}

test('what is noted in one moment is written some at a time, and others have their turn between', async t => {
  const { writing, written } = aWriting();
  const count = 3 * NOTES_AT_ONCE + 1;
  for (let n = 0; n < count; n += 1) writing.note(idOf(n), n);
  let turns = 0;
  const ended = writing.done().then(() => turns);
  while (written.length < 4) {
    await turn();
    turns += 1;
  }
  t.true((await ended) >= 3, `${turns} turns`);
  t.deepEqual(
    written.map(({ length }) => length),
    [NOTES_AT_ONCE, NOTES_AT_ONCE, NOTES_AT_ONCE, 1],
  );
  t.deepEqual(
    written.flat().map(({ parcel }) => parcel),
    Array.from({ length: count }, (_, n) => idOf(n)),
  );
});

test('the newest word about a parcel is the last that is written, also while others are written', async t => {
  const stored = new Map<ParcelId, number | undefined>();
  const { writing } = aWriting(async changes => {
    for (const { parcel, sinceRunMs } of changes) stored.set(parcel, sinceRunMs);
    if (stored.get(idOf(1)) === 5) writing.note(idOf(1), undefined);
  });
  writing.note(idOf(1), 4);
  writing.note(idOf(1), 5);
  writing.note(idOf(2), 6);
  await writing.done();
  t.deepEqual([...stored.values()], [undefined, 6]);
});

test('what the disk refuses is told, and the rest is written', async t => {
  let refused = 0;
  const { writing, written, lines } = aWriting(async () => {
    if (refused++ === 0) throw new Error('no room');
  });
  for (let n = 0; n <= NOTES_AT_ONCE; n += 1) writing.note(idOf(n), n);
  await writing.done();
  t.like(lines, [{ code: 'UNWANTED_NOT_NOTED', parcels: NOTES_AT_ONCE }]);
  t.deepEqual(written, [[{ parcel: idOf(NOTES_AT_ONCE), sinceRunMs: NOTES_AT_ONCE }]]);
});

test('what the disk refused is tried again, unless there is a newer word', async t => {
  const stored = new Map<ParcelId, number | undefined>();
  let isFull = true;
  const { writing, lines } = aWriting(
    async changes => {
      if (isFull) throw new Error('no room');
      for (const { parcel, sinceRunMs } of changes) stored.set(parcel, sinceRunMs);
    },
    { againMs: 1 },
  );
  writing.note(idOf(1), 4);
  writing.note(idOf(2), undefined);
  await until('it is refused, and once more', () => lines.length >= 2);
  isFull = false;
  writing.note(idOf(1), 5);
  await until('both are written', () => stored.size === 2);
  await writing.done();
  t.deepEqual([...stored].sort(), [
    [idOf(1), 5],
    [idOf(2), undefined],
  ]);
});
