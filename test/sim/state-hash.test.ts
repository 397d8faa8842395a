/** State hash: two runs that differ in anything that a machine was told, asked for or believes have different hashes. */
import test from 'ava';
import type { Happening } from '../../sim/happening.js';
import { StateHash } from '../../sim/state-hash.js';
import { MIB, MINUTE_MS, World } from '../../sim/world.js';

const by = { host: { number: 1 } };

function hashOf(happening: object): number | undefined {
  const hash = new StateHash({ hosts: [] });
  hash.see({ by, ...happening } as unknown as Happening);
  hash.link();
  return hash.links[0];
}

const [A, B] = ['a', 'b'].map(digit => `1234567890abcdef${digit.repeat(48)}`) as [string, string];
const MAP = [
  ['x', new Uint8Array([1, 2])],
  ['y', new Uint8Array([3])],
] as const;

for (const [what, one, other] of [
  ['the parcel of a drop', { do: 'drop', proof: { parcel: A } }, { do: 'drop', proof: { parcel: B } }],
  [
    'what is granted',
    { do: 'answer-grant', answer: { answer: 'grant' } },
    { do: 'answer-grant', answer: { answer: 'deny' } },
  ],
  ['who is asked', { do: 'ask-grants', holders: [A, B] }, { do: 'ask-grants', holders: [B, A] }],
  ['where one list ends', { do: 'x', a: [A], b: [B, B] }, { do: 'x', a: [A, B], b: [B] }],
  ['where one part ends', { do: 'x', a: [{ b: A }, {}] }, { do: 'x', a: [{}, { b: A }] }],
  ['bytes', { do: 'x', a: new Uint8Array([1, 2]) }, { do: 'x', a: new Uint8Array([1, 3]) }],
  ['a map', { do: 'x', a: new Map(MAP) }, { do: 'x', a: new Map(MAP.slice(1)) }],
  ['a set', { do: 'x', a: new Set([A]) }, { do: 'x', a: new Set([B]) }],
  ['a large number', { do: 'x', a: 2 ** 40 }, { do: 'x', a: 2 ** 41 }],
  ['a part of a number', { do: 'x', a: 0.25 }, { do: 'x', a: 0.5 }],
  ['nothing', { do: 'x', a: undefined }, { do: 'x', a: false }],
] as const) {
  test(`hashes differ by ${what} (I9)`, t => {
    t.not(hashOf({ is: 'effect', effect: one }), hashOf({ is: 'effect', effect: other }));
    t.is(hashOf({ is: 'effect', effect: one }), hashOf({ is: 'effect', effect: structuredClone(one) }));
  });
}

test('the order in which a map was filled makes no difference', t => {
  const [one, other] = [MAP, MAP.toReversed()].map(entries =>
    hashOf({ is: 'effect', effect: { a: new Map(entries) } }),
  );
  t.is(one, other);
});

test('hashes differ by the configuration, which hangs on to those before it', t => {
  const told = (hash: string): object => {
    const config: { hash: string; parent?: object } = { hash };
    config.parent = config;
    return { is: 'told', input: { is: 'config', config } };
  };
  t.not(hashOf(told(A)), hashOf(told(B)));
});

test('hashes differ by what is wanted, and by room', t => {
  const linkOf = ({ parcels = 0, freeBytes = MIB }): number | undefined => {
    const world = new World();
    const [origin] = world.addHosts(2, { freeBytes });
    if (origin !== undefined && parcels > 0) world.backUp(origin, { parcels, sizeBytes: 2 * freeBytes });
    world.run(MINUTE_MS);
    const hash = new StateHash(world);
    hash.link();
    return hash.links[0];
  };
  const links = [linkOf({}), linkOf({ freeBytes: 2 * MIB }), linkOf({ parcels: 1 }), linkOf({ parcels: 2 })];
  t.is(new Set(links).size, links.length);
  t.is(linkOf({}), links[0]);
});
