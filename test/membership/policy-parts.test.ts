import test from 'ava';
import fc from 'fast-check';
import { parsePolicy } from '../../src/membership/parse-policy.js';
import { addSource, addStore, drainStore } from '../../src/membership/policy-edit.js';
import { hostPartName, joinPolicy, splitPolicy } from '../../src/membership/policy-parts.js';
import { law } from '../helpers/law.js';

const COMMENTED = `# Our house.

# Ask Ann before changing this.
cluster: home # the flat
defaults: { copies: 2 }
# who
hosts:
  # upstairs
  imac: # hers
    # her disk
    stores:  [{ path: /Volumes/Spare/hoard, limit: 300 GB }]  # a USB one
    # no more of the imac

  # downstairs
  mini:
    domain: basement
    stores:
      - path: /tank/hoard # zfs
        reserve: 500 GB
      # no more stores
  # no more hosts

# for the demo
timing: { heartbeat: 5s }
# the end
`;

test('the pieces one after the other are the text, byte for byte', t => {
  const parts = splitPolicy(COMMENTED);
  t.is(joinPolicy(parts), COMMENTED);
  t.deepEqual(
    parts.map(part => part.name),
    ['head', 'host:imac', 'host:mini', 'tail'],
  );
  t.regex(parts[1]?.text ?? '', /^ {2}# upstairs\n {2}imac:[\s\S]*no more of the imac\n\n$/);
  t.regex(parts[2]?.text ?? '', /^ {2}# downstairs\n/);
  t.regex(parts[3]?.text ?? '', /^\n# for the demo\n/);
});

test('head, tail and any one host are a policy of their own', t => {
  const parts = splitPolicy(COMMENTED);
  const whole = parsePolicy(COMMENTED).policy;
  for (const name of ['imac', 'mini']) {
    const alone = parsePolicy(
      joinPolicy(parts.filter(part => !part.name.startsWith('host:') || part.name === hostPartName(name))),
    ).policy;
    t.deepEqual([...alone.hosts.keys()], [name]);
    t.deepEqual(alone.hosts.get(name), whole.hosts.get(name));
    t.deepEqual(alone.timing, whole.timing);
  }
});

test('hosts on one line, in braces or with CRLF are cut too', t => {
  for (const text of [
    'cluster: home\nhosts: { a: {}, b: { domain: x } }\ntiming: {}\n',
    '{ cluster: home, hosts: { a: {}, b: { domain: x } } }\n',
    'cluster: home\r\nhosts:\r\n  a: {}\r\n  b:\r\n    domain: x\r\n',
    '---\ncluster: home\nhosts:\n  a: {}\n  b: { domain: x }\n...\n',
    'hosts:\n  a:\n  b:\n      domain: x\ncluster: home',
  ]) {
    const parts = splitPolicy(text);
    t.deepEqual(
      parts.map(part => part.name),
      ['head', 'host:a', 'host:b', 'tail'],
      text,
    );
    t.deepEqual(parsePolicy(joinPolicy(parts)).policy, parsePolicy(text).policy);
  }
});

test('a policy without hosts is one piece', t => {
  for (const text of ['cluster: home\n', 'cluster: home\nhosts:\n', 'cluster: home\nhosts: {}\n']) {
    t.deepEqual(splitPolicy(text), [{ name: 'head', text }]);
  }
});

test('whatever comments and blank lines stand between, cutting loses and changes nothing', t => {
  const noise = fc.constantFrom(
    '',
    '\n',
    '# note\n',
    '  # note\n',
    '    # note\n',
    '\n\n  # note\n',
    '      # deep\n\n',
  );
  const body = fc.constantFrom(
    '',
    ' {}',
    '\n    domain: x',
    '\n    roaming: true # why\n    stores:\n      - path: /s',
    ' # only a comment',
  );
  law(
    t,
    fc.property(
      fc.array(fc.tuple(noise, body), { minLength: 1, maxLength: 5 }),
      noise,
      noise,
      fc.boolean(),
      (hosts, before, after, timing) => {
        const text = `cluster: home\n${before}hosts:\n${hosts.map(([above, inner], index) => `${above}  h${index}:${inner}\n`).join('')}${after}${timing ? 'timing: {}\n' : ''}`;
        const parts = splitPolicy(text);
        return (
          joinPolicy(parts) === text && parts.filter(part => part.name.startsWith('host:')).length === hosts.length
        );
      },
    ),
  );
});

test('adding a store rewrites one host and leaves the others byte for byte', t => {
  const before = splitPolicy(COMMENTED);
  const after = splitPolicy(addStore(COMMENTED, { host: 'mini', path: '/new', limit: '3 GB' }));
  t.deepEqual(
    after.filter(part => part.name !== 'host:mini'),
    before.filter(part => part.name !== 'host:mini'),
  );
  const text = joinPolicy(after);
  for (const comment of COMMENTED.match(/#[^\n]*/g) ?? []) t.true(text.includes(comment), comment);
  t.deepEqual(
    parsePolicy(text)
      .policy.hosts.get('mini')
      ?.stores.map(store => store.path),
    ['/tank/hoard', '/new'],
  );
});

test('a store is drained and used again by one line, comments kept; twice the same changes nothing', t => {
  const before = addStore(COMMENTED, { host: 'mini', path: '/new', limit: '3 GB' });
  const drained = drainStore(before, { host: 'mini', path: '/new/', undo: false });
  const stores = (text: string) =>
    parsePolicy(text)
      .policy.hosts.get('mini')
      ?.stores.map(({ path, draining }) => ({ path, draining }));
  t.deepEqual(stores(drained), [
    { path: '/tank/hoard', draining: false },
    { path: '/new', draining: true },
  ]);
  for (const comment of COMMENTED.match(/#[^\n]*/g) ?? []) t.true(drained.includes(comment), comment);
  t.is(drainStore(drained, { host: 'mini', path: '/new', undo: false }), drained);
  t.is(drainStore(drained, { host: 'mini', path: '/new', undo: true }), before);
  t.is(drainStore(before, { host: 'mini', path: '/new', undo: true }), before);
});

test('a store that is not there is not drained, and those that are there are named', t => {
  const missing = t.throws(() => drainStore(COMMENTED, { host: 'mini', path: '/tank', undo: false }));
  t.like(missing, { code: 'NO_SUCH_STORE' });
  t.regex(missing?.message ?? '', /mini has no store at \/tank \(it has: \/tank\/hoard\); nothing was changed/);
  const none = t.throws(() => drainStore('cluster: home', { host: 'a', path: '/x', undo: false }));
  t.regex(none?.message ?? '', /it has none/);
});

test('a host, a store and a source can be added to a policy that has none', t => {
  let text = '# ours\ncluster: home # flat\n';
  text = addStore(text, { host: 'a', path: '/x', reserve: '10%' });
  text = addSource(text, { host: 'a', name: 'docs', path: '/d', copies: 3, every: '2h' });
  text = addStore(text, { host: 'b', path: '/y', name: 'usb' });
  text = addSource(text, { host: 'a', name: 'more', path: '/m' });
  const { policy } = parsePolicy(text);
  t.regex(text, /# ours\ncluster: home # flat/);
  t.deepEqual(
    policy.hosts.get('a')?.sources.map(({ name, path, copies, schedule }) => ({ name, path, copies, schedule })),
    [
      { name: 'docs', path: '/d', copies: 3, schedule: { kind: 'every', everyMs: 7_200_000 } },
      { name: 'more', path: '/m', copies: 2, schedule: { kind: 'every', everyMs: 3_600_000 } },
    ],
  );
  t.is(policy.hosts.get('b')?.stores[0]?.name, 'usb');
});

test('the comment of a host without a body survives its first store', t => {
  const text = addStore('cluster: home\nhosts:\n  a: # the attic\n  b:\n    roaming: true', { host: 'a', path: '/x' });
  t.regex(text, /# the attic/);
  t.true(parsePolicy(text).policy.hosts.get('b')?.roaming);
  t.is(
    parsePolicy(addStore('cluster: home\nhosts:\n  b:\n    roaming: true', { host: 'c', path: '/x' })).policy.hosts
      .size,
    2,
  );
});

test('a second store on a path or a second source of a name is refused', t => {
  t.throws(() => addStore(COMMENTED, { host: 'mini', path: '/tank/hoard' }), { code: 'STORE_EXISTS' });
  const text = addSource(COMMENTED, { host: 'mini', name: 'docs', path: '/d' });
  t.throws(() => addSource(text, { host: 'mini', name: 'docs', path: '/e' }), { code: 'SOURCE_EXISTS' });
});
