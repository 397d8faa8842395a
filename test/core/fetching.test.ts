/** Fetching from this host's own stores; from other hosts: machine.test.ts. */
import test from 'ava';
import type { Effect } from '../../src/core/effects.js';
import { Fetching, type FetchingContext } from '../../src/core/fetching.js';
import { parseHostId, parseStoreId } from '../../src/core/ids.js';
import type { Row } from '../../src/core/parcel-table.js';
import type { Pursuit } from '../../src/core/pursuit.js';

const SELF = parseHostId('1'.repeat(32));
const OTHER = parseHostId('3'.repeat(32));

/** Cleared pursuits: of `linked` rows the store has all files, `copied` ones lie in another store, the others come from a peer. */
function aFetching({ linked = 0, copied = 0, others = 0 }) {
  const effects: Effect[] = [];
  const paced: unknown[] = [];
  const pace = (host: unknown) => void paced.push(host);
  const fetching = new Fetching({
    self: SELF,
    table: { id: (row: Row) => `${row}` },
    paces: { version: 0, isSlow: () => false, began: pace, came: pace, ended: pace },
    givers: { choose: (row: Row) => ({ from: row < linked + copied ? SELF : OTHER }) },
    fitting: { lacksNothing: ({ row }: { readonly row: Row }) => row < linked },
    nowMs: () => 0,
    emit: (effect: Effect) => void effects.push(effect),
  } as unknown as FetchingContext);
  const store = parseStoreId('2'.repeat(32));
  const pursuits = new Map(
    Array.from({ length: linked + copied + others }, (_, row) => [
      row as Row,
      { row, store, stage: 'cleared', reservedBytes: 1, avoidUntilMs: new Map() } as unknown as Pursuit,
    ]),
  );
  fetching.start(pursuits, 1);
  const from = (host: string) =>
    effects.flatMap(effect => (effect.do === 'fetch' && effect.from === host ? [effect] : []));
  return { fetching, pursuits, from, paced };
}

test('what our own stores have keeps nothing that comes from others waiting, nor the other way round', t => {
  const { from } = aFetching({ linked: 100, copied: 10, others: 10 });
  t.is(from(SELF).length, 64);
  t.is(from(OTHER).length, 4);
});

test('what must be copied from one disk to another is copied four at a time', t => {
  t.is(aFetching({ copied: 10, others: 1 }).from(SELF).length, 4);
});

test('it says nothing about the pace of a link', t => {
  const { fetching, from, paced } = aFetching({ linked: 2, others: 1 });
  for (const { fetch } of from(SELF)) {
    fetching.came(fetch, { doneBytes: 0, foundBytes: 1_000 });
    fetching.got(fetch, 0);
    fetching.failed(fetch);
  }
  t.deepEqual(paced, [OTHER]);
});
