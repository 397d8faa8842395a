/** Section changes: what of a policy came, left, or is another, in a few words. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { splitPolicy } from '../../src/membership/policy-parts.js';
import { policyChanges } from '../../src/membership/section-changes.js';

const partsOf = (text: string) => splitPolicy(text).map(part => ({ ...part, hash: hashHex(Buffer.from(part.text)) }));

const changes = (before: string, after: string): readonly string[] => policyChanges(partsOf(before), partsOf(after));

const BEFORE = `cluster: home # ours
hosts:
  imac:
    sources:
      photos: { path: /photos }
  nas: # in the cellar
    stores: [{ path: /srv/x, limit: 1 GB }]
timing: { scrub: 30d }
`;

test('sources and stores that came or left are named, and nothing else is told of their hosts', t => {
  const source = BEFORE.replace('photos: {', 'docs: { path: /docs }\n      photos: {');
  t.deepEqual(changes(BEFORE, source), ['imac: source docs added']);
  t.deepEqual(changes(source, BEFORE), ['imac: source docs removed']);
  const store = BEFORE.replace('/srv/x', '/srv/y');
  t.deepEqual(changes(BEFORE, store), ['nas: store /srv/y added', 'nas: store /srv/x removed']);
  const two = BEFORE.replace('[{', '[{ path: /srv/a }, { path: /srv/b }, {');
  t.deepEqual(changes(BEFORE, two), ['nas: stores /srv/a, /srv/b added']);
});

test('what else a section says is told with whose it is, beside what came or left', t => {
  t.deepEqual(changes(BEFORE, BEFORE.replace('1 GB', '2 GB')), ['policy of nas']);
  t.deepEqual(changes(BEFORE, BEFORE.replace('/photos }', '/pictures }')), ['policy of imac']);
  t.deepEqual(changes(BEFORE, BEFORE.replace('    stores:', '    domain: cellar\n    stores:')), ['policy of nas']);
  const both = BEFORE.replace('1 GB }', '2 GB }, { path: /srv/y }');
  t.deepEqual(changes(BEFORE, both), ['nas: store /srv/y added', 'policy of nas']);
  t.deepEqual(changes(BEFORE, BEFORE.replace('30d', '60d')), ['policy for all']);
});

test('a section that came or left is told by what it had, or as such', t => {
  const without = BEFORE.replace(/ {2}nas:.*\n.*\n/, '');
  t.deepEqual(changes(BEFORE, without), ['nas: store /srv/x removed']);
  t.deepEqual(changes(without, BEFORE), ['nas: store /srv/x added']);
  for (const [section, told] of [
    ['', []],
    ['\n    domain: roof', []],
    ['\n    domain: roof\n    stores: [{ path: /a }]', ['pi: store /a']],
  ] as const) {
    const more = BEFORE.replace('timing:', `  pi:${section}\ntiming:`);
    t.deepEqual(changes(BEFORE, more), [...told.map(one => `${one} added`), 'policy of pi, new']);
    t.deepEqual(changes(more, BEFORE), [...told.map(one => `${one} removed`), 'policy of pi, taken out']);
  }
});

test('what is only written in another way is told to be that, and nothing is where nothing changed', t => {
  for (const text of [
    BEFORE.replace('# ours', '# mine'),
    BEFORE.replace('# in the cellar', '# below'),
    BEFORE.replace('[{ path: /srv/x, limit: 1 GB }]', '\n      - limit: 1 GB\n        path: /srv/x'),
  ])
    t.deepEqual(changes(BEFORE, text), ['only how the policy is written']);
  t.deepEqual(changes(BEFORE, BEFORE), []);
  t.deepEqual(changes('cluster: home\n', 'cluster: home\nhosts:\n  a: { stores: [{ path: /a }] }\n'), [
    'a: store /a added',
  ]);
});

test('a piece that was withheld from this host is told by its name', t => {
  const withheld = (piece: string, text: string) =>
    partsOf(text).map(part => (part.name === piece ? { ...part, text: undefined } : part));
  const told = (piece: string, after: string) => policyChanges(withheld(piece, BEFORE), withheld(piece, after));
  t.deepEqual(told('host:nas', BEFORE.replace('/srv/x', '/srv/y')), ['policy of nas']);
  t.deepEqual(told('tail', BEFORE.replace('30d', '60d')), ['policy for all']);
});

test('so many at once are not all named, nor is a long path told whole', t => {
  const stores = (paths: readonly string[]) =>
    BEFORE.replace('[{', `[${paths.map(path => `{ path: ${path} }, `).join('')}{`);
  const paths = (count: number) => Array.from({ length: count }, (_, n) => `/${n}`);
  t.deepEqual(changes(BEFORE, stores(paths(5))), ['nas: stores /0, /1, /2, /3, /4 added']);
  t.deepEqual(changes(BEFORE, stores(paths(7))), ['nas: stores /0, /1, /2, /3, /4 and 2 more added']);
  const long = (characters: number) => `/${'d'.repeat(characters - 1)}`;
  t.deepEqual(changes(BEFORE, stores([long(100)])), [`nas: store ${long(100)} added`]);
  t.deepEqual(changes(BEFORE, stores([long(101)])), [`nas: store ${long(100)}… added`]);
});
