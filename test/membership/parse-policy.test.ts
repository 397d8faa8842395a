import test from 'ava';
import fc from 'fast-check';
import { DEFAULT_TIMING, HOSTS_MAX } from '../../src/core/cluster-config.js';
import { POLICY_BYTES_MAX, parsePolicy } from '../../src/membership/parse-policy.js';
import { PolicyError } from '../../src/membership/policy-report.js';
import { policyJsonSchema } from '../../src/membership/policy-schema.js';
import { law } from '../helpers/law.js';

/** An example with most keys. */
const EXAMPLE = `cluster: home
defaults: { copies: 2 }
hosts:
  imac:
    stores:  [{ path: /Volumes/Spare/hoard, limit: 300 GB }]
    sources: { photos: { path: /Users/ann/Pictures, copies: 3, every: 1h, exclude: ["*.tmp"], keep: { daily: 7, weekly: 4 } } }
  mini:
    domain: basement
    stores:  [{ path: /tank/hoard, reserve: 500 GB }]
timing: { heartbeat: 5s, dead: 1h, surplus: 30s }
`;

function problemsOf(text: string): readonly string[] {
  try {
    parsePolicy(text, { file: 'p.yaml' });
  } catch (error) {
    if (error instanceof PolicyError) return error.message.split('\n');
    throw error;
  }
  return [];
}

test('the example reads with every default filled in', t => {
  const { policy, warnings } = parsePolicy(EXAMPLE);
  t.deepEqual(warnings, []);
  t.is(policy.cluster, 'home');
  const imac = policy.hosts.get('imac');
  t.deepEqual(imac?.stores, [
    { path: '/Volumes/Spare/hoard', name: undefined, lends: { kind: 'limit', bytes: 300e9 }, draining: false },
  ]);
  t.deepEqual(imac?.sources, [
    {
      name: 'photos',
      path: '/Users/ann/Pictures',
      copies: 3,
      schedule: { kind: 'every', everyMs: 3_600_000 },
      watch: false,
      jitterMs: 120_000,
      exclude: ['*.tmp'],
      keep: { last: 0, hourly: 0, daily: 7, weekly: 4, monthly: 0, yearly: 0 },
      holdDays: undefined,
      brakePercent: 50,
      hooks: { before: undefined, after: undefined, onFailure: undefined, timeoutMs: 600_000 },
      crossMounts: false,
    },
  ]);
  t.is(policy.hosts.get('mini')?.domain, 'basement');
  t.deepEqual(policy.timing, DEFAULT_TIMING);
});

test('a source takes from defaults what it does not say itself', t => {
  const { policy } = parsePolicy(`cluster: home
defaults: { copies: 4, every: 15m, keep: { last: 1 }, hold: 9d }
hosts: { a: { stores: [{ path: /s }, { path: /t, reserve: 20% }], sources: { plain: { path: /p }, own: { path: /o, copies: 1, hold: 2w } } } }
`);
  const [plain, own] = policy.hosts.get('a')?.sources ?? [];
  t.like(plain, { copies: 4, schedule: { kind: 'every', everyMs: 900_000 }, holdDays: 9, keep: { last: 1, daily: 0 } });
  t.like(own, { copies: 1, schedule: { kind: 'every', everyMs: 900_000 }, holdDays: 14 });
  t.deepEqual(
    policy.hosts.get('a')?.stores.map(store => store.lends),
    [
      { kind: 'reserve-share', percent: 10 },
      { kind: 'reserve-share', percent: 20 },
    ],
  );
});

test('every problem is told with file, line, column, key, bad value and what is allowed', t => {
  const problems = problemsOf(`cluster: Home
defaults: { copies: 0, copeis: 3 }
hosts:
  m:
    stores:  [{ path: tank, limit: 500 G }]
    sources: { photos: { copies: 33 } }
    addresses: [/ip4/1.2.3.4/tcp/4747, nowhere]
timing: { heartbeat: 5 }
`);
  t.is(problems.length, 9);
  t.regex(problems[0] ?? '', /^p\.yaml:1:10: cluster: bad value "Home"; allowed: a name of/);
  t.regex(problems[1] ?? '', /^p\.yaml:2:21: defaults\.copies: bad value 0; allowed: a whole number from 1 to 32$/);
  t.is(problems[2], 'p.yaml:2:24: defaults.copeis: unknown key; allowed: copies, every, jitter, keep, hold');
  t.regex(problems[3] ?? '', /^p\.yaml:5:23: hosts\.m\.stores\.0\.path: bad value "tank"; allowed: an absolute path/);
  t.regex(problems[4] ?? '', /^p\.yaml:5:36: hosts\.m\.stores\.0\.limit: bad value "500 G"; allowed: a size/);
  t.regex(problems[5] ?? '', /^p\.yaml:6:24: hosts\.m\.sources\.photos\.path: missing; allowed:/);
  t.regex(problems[6] ?? '', /^p\.yaml:6:34: hosts\.m\.sources\.photos\.copies: bad value 33;/);
  t.regex(problems[7] ?? '', /^p\.yaml:7:40: hosts\.m\.addresses\.1: bad value "nowhere"; allowed: a multiaddr/);
  t.regex(problems[8] ?? '', /^p\.yaml:8:22: timing\.heartbeat: bad value 5; allowed: a duration/);
});

test('an unknown key is told with the keys of its own place, whatever the names around it', t => {
  const problems = problemsOf(`cluster: home
hosts:
  keep: { up: 1, limits: { peers: { keep: { up: 1 } } }, stores: [{ path: /a, up: 1 }] }
  stores: { sources: { limits: { path: /b, up: 1, keep: { up: 1 } } } }
timing: { up: 1 }
`);
  const source =
    'path, copies, every, at, watch, jitter, exclude, keep, hold, brake, before, after, onFailure, hookTimeout, crossMounts';
  t.deepEqual(
    problems.slice(0, 5).map(problem => problem.replace(/^p\.yaml:\d+:\d+: /, '')),
    [
      'hosts.keep.up: unknown key; allowed: domain, roaming, catalog, addresses, stores, sources, limits',
      'hosts.keep.limits.peers.keep.up: unknown key; allowed: upload, download',
      'hosts.keep.stores.0.up: unknown key; allowed: path, name, limit, reserve, draining',
      `hosts.stores.sources.limits.up: unknown key; allowed: ${source}`,
      'hosts.stores.sources.limits.keep.up: unknown key; allowed: last, hourly, daily, weekly, monthly, yearly',
    ],
  );
  t.regex(problems[5] ?? '', /timing\.up: unknown key; allowed: heartbeat, heartbeatPerHost, suspect, .*treeEvery$/);
});

test('limits are bytes a second, and not so few that streams stand still', t => {
  const limitsOf = (text: string) =>
    parsePolicy(`cluster: home\nhosts: { a: { limits: ${text} } }\n`).policy.hosts.get('a')?.limits;
  const peers = new Map();
  t.deepEqual(limitsOf('{ upload: 2 MB }'), { uploadBytesPerS: 2_000_000, downloadBytesPerS: undefined, peers });
  t.deepEqual(limitsOf('{ download: 256 kB, upload: 1 MiB }'), {
    uploadBytesPerS: 1_048_576,
    downloadBytesPerS: 256_000,
    peers,
  });
  t.deepEqual(limitsOf('{ peers: { mini: { download: 1 MB } } }'), {
    uploadBytesPerS: undefined,
    downloadBytesPerS: undefined,
    peers: new Map([['mini', { uploadBytesPerS: undefined, downloadBytesPerS: 1_000_000 }]]),
  });
  const [low] = problemsOf('cluster: home\nhosts: { a: { limits: { upload: 255 kB } } }\n');
  t.regex(
    low ?? '',
    /hosts\.a\.limits\.upload: bad value "?255 kB"?; allowed: a size for each second, at least 256 kB/,
  );
  const [unknown] = problemsOf('cluster: home\nhosts: { a: { limits: { up: 1 MB } } }\n');
  t.regex(unknown ?? '', /hosts\.a\.limits\.up: unknown key; allowed: upload, download, peers/);
  const [deep] = problemsOf('cluster: home\nhosts: { a: { limits: { peers: { b: { up: 1 MB } } } } }\n');
  t.regex(deep ?? '', /hosts\.a\.limits\.peers\.b\.up: unknown key; allowed: upload, download$/);
});

test('a brake is a share of the files', t => {
  const brakeOf = (more: string) => {
    const text = `cluster: home\nhosts: { a: { sources: { s: { path: /s${more} } } } }\n`;
    return parsePolicy(text).policy.hosts.get('a')?.sources[0]?.brakePercent;
  };
  t.is(brakeOf(''), 50);
  t.is(brakeOf(', brake: 80%'), 80);
  for (const wrong of ['0%', '101%', '50', 'half']) {
    const [problem] = problemsOf(`cluster: home\nhosts: { a: { sources: { s: { path: /s, brake: ${wrong} } } } }\n`);
    t.regex(problem ?? '', /hosts\.a\.sources\.s\.brake: bad value .*; allowed: a share of the files from 1% to 100%/);
  }
});

test('a source has its snapshots every so often or at times of the day, each a little late', t => {
  const sourceOf = (keys: string) =>
    parsePolicy(`cluster: home\nhosts: { a: { sources: { s: { path: /s, ${keys} } } } }\n`).policy.hosts.get('a')
      ?.sources[0];
  t.like(sourceOf('at: [Mon-Fri 10:05, "23:30 Europe/Berlin"], jitter: 0'), {
    schedule: {
      kind: 'at',
      times: [
        { pattern: '5 10 * * Mon,Tue,Wed,Thu,Fri', zone: undefined },
        { pattern: '30 23 * * *', zone: 'Europe/Berlin' },
      ],
    },
    jitterMs: 0,
  });
  const problem = (keys: string): string =>
    problemsOf(`cluster: home\nhosts: { a: { sources: { s: { path: /s, ${keys} } } } }\n`)[0] ?? '';
  t.regex(problem('at: [noon]'), /sources\.s\.at\.0: bad value "?noon"?; allowed: a time of day such as 10:05/);
  t.regex(problem('at: []'), /sources\.s\.at: .*allowed: at least one time of the day/);
  t.regex(problem('at: 10:05'), /sources\.s\.at: .*allowed: a list of times of the day/);
  t.regex(problem('at: ["10:05"], every: 1h'), /sources\.s\.at: every and at exclude each other/);
});

test('a source names its hooks, and only names them', t => {
  const text = (keys: string) => `cluster: home\nhosts: { a: { sources: { s: { path: /s, ${keys} } } } }\n`;
  const source = parsePolicy(text('before: dump, after: go-on, onFailure: mail, hookTimeout: 2m')).policy.hosts.get('a')
    ?.sources[0];
  t.deepEqual(source?.hooks, { before: 'dump', after: 'go-on', onFailure: 'mail', timeoutMs: 120_000 });
  t.regex(
    problemsOf(text('before: /bin/rm -r'))[0] ?? '',
    /sources\.s\.before: bad value .*allowed: a name of lower-case/,
  );
  t.regex(problemsOf(text('before: ../x'))[0] ?? '', /sources\.s\.before: bad value/);
  t.regex(problemsOf(text('hookTimeout: 0'))[0] ?? '', /sources\.s\.hookTimeout: .*at least 1s/);
});

test('a source may be watched, beside its schedule', t => {
  const text = (keys: string) => `cluster: home\nhosts: { a: { sources: { s: { path: /s, ${keys} } } } }\n`;
  const sourceOf = (keys: string) => parsePolicy(text(keys)).policy.hosts.get('a')?.sources[0];
  t.like(sourceOf('watch: true'), { watch: true, schedule: { kind: 'every', everyMs: 3_600_000 } });
  t.like(sourceOf('watch: true, every: 6h'), { watch: true, schedule: { kind: 'every', everyMs: 6 * 3_600_000 } });
  t.like(sourceOf('watch: true, at: ["23:30"]'), { watch: true, schedule: { kind: 'at' } });
  t.like(sourceOf('watch: false'), { watch: false });
  t.regex(
    problemsOf(text('watch: 1h'))[0] ?? '',
    /hosts\.a\.sources\.s\.watch: bad value "1h"; allowed: true or false/,
  );
});

test('a text that is no YAML is told with its place', t => {
  t.regex(problemsOf('cluster: home\ncluster: again\n')[0] ?? '', /^p\.yaml:2:1: Map keys must be unique$/);
  t.regex(problemsOf('cluster: [home\n')[0] ?? '', /^p\.yaml:\d+:\d+: Flow sequence/);
  t.regex(problemsOf('')[0] ?? '', /^p\.yaml:1:1: /);
});

test('aliases, anchors, tags, two documents and keys that are no words are refused', t => {
  for (const text of [
    'cluster: &a home\n',
    'cluster: home\ndefaults: &d { copies: 2 }\ntiming: *d\n',
    'cluster: !!binary aG9tZQ==\n',
    'cluster: !own home\n',
    'cluster: home\nhosts: { 1: {} }\n',
    'cluster: home\nhosts: { ? [a] : {} }\n',
    'cluster: home\n__proto__: { copies: 1 }\n',
    'cluster: home\n---\ncluster: other\n',
  ]) {
    t.not(problemsOf(text).length, 0, text);
  }
});

test('both sides of each floor of timing', t => {
  const timing = (inner: string) => problemsOf(`cluster: home\ntiming: { ${inner} }\n`).length;
  t.is(timing('heartbeat: 100ms'), 0);
  t.is(timing('heartbeat: 99ms'), 1);
  t.is(timing('heartbeat: 1s, suspect: 3s'), 0);
  t.is(timing('heartbeat: 1s, suspect: 2999ms'), 1);
  t.is(timing('suspect: 30s, dead: 60s'), 0);
  t.is(timing('suspect: 30s, dead: 59s'), 1);
  t.is(timing('dead: 2h, deadMax: 2h'), 0);
  t.is(timing('dead: 2h, deadMax: 7199s'), 1);
  t.is(timing('claimWait: 20ms'), 0);
  t.is(timing('claimWait: 19ms'), 1);
  t.is(timing('claim: 1s'), 0);
  t.is(timing('claim: 999ms'), 1);
  t.is(timing('dropBackOff: 100ms'), 0);
  t.is(timing('dropBackOff: 99ms'), 1);
  t.is(timing('scrub: 1s'), 0);
  t.is(timing('scrub: 999ms'), 1);
  t.is(timing('surplus: 0, step: 0s'), 0);
});

test('below its floor a time of a version that is signed is read as the floor, by the others as they are read', t => {
  const { timing } = parsePolicy('cluster: home\ntiming: { heartbeat: 1ms, suspect: 1s, dead: 0s, scrub: 0 }\n', {
    isSigned: true,
  }).policy;
  t.like(timing, { heartbeatMs: 100, suspectMs: 1_000, deadMs: 2_000, scrubMs: 1_000, surplusMs: 30_000 });
});

test('a longer heartbeat alone stretches the defaults that are counted in it', t => {
  const { timing } = parsePolicy('cluster: home\ntiming: { heartbeat: 10m }\n').policy;
  t.is(timing.suspectMs, 3_600_000);
  t.is(timing.deadMs, 7_200_000);
});

test('a host has no two stores on one path or inside each other, and no source inside a store', t => {
  const host = (inner: string) => problemsOf(`cluster: home\nhosts: { a: { ${inner} } }\n`).length;
  t.is(host('stores: [{ path: /a }, { path: /ab }]'), 0);
  t.is(host('stores: [{ path: /a }, { path: /a/ }]'), 1);
  t.is(host('stores: [{ path: /a }, { path: /a/b }]'), 1);
  t.is(host('stores: [{ path: /a, name: x }, { path: /b, name: x }]'), 1);
  t.is(host('stores: [{ path: /a, limit: 1 GB, reserve: 1 GB }]'), 1);
  t.is(host('stores: [{ path: /a/store }], sources: { s: { path: /a } }'), 0);
  t.is(host('stores: [{ path: /a }], sources: { s: { path: /a/b } }'), 1);
  t.is(host('stores: [{ path: /a }], sources: { s: { path: /a } }'), 1);
  t.is(host('stores: [{ path: / }], sources: { s: { path: /a } }'), 1);
  t.is(host('sources: { s: { path: /a, keep: {} } }'), 1);
  t.is(host('sources: { s: { path: /a/../b } }'), 1);
});

test('the members that were meant are looked for as long as it may be a slip', t => {
  const names = Array.from({ length: 30 }, (_, i) => `lab-${i + 10}`);
  const text = `cluster: home\nhosts:\n${names.map(name => `  ${name}x: {}\n`).join('')}`;
  const { warnings } = parsePolicy(text, { members: names });
  t.is(warnings.length, 30);
  t.is(warnings.filter(warning => /Did you mean lab-/.test(warning)).length, 20);
});

test('a section of a host that is no member is a warning, not an error', t => {
  const { warnings } = parsePolicy(EXAMPLE, { members: ['imac'] });
  t.is(warnings.length, 1);
  t.regex(warnings[0] ?? '', /hosts\.mini is no member/);
  const rates = 'cluster: home\nhosts: { a: { limits: { peers: { b: { upload: 1 MB } } } } }\n';
  t.deepEqual(parsePolicy(rates, { members: ['a'] }).warnings, [
    'hosts.a.limits.peers.b is no member of this cluster yet: it limits nobody. Did you mean a?',
  ]);
  t.deepEqual(parsePolicy(rates, { members: ['a', 'b'] }).warnings, []);
  const more = 'cluster: home\nhosts: { pi1: {}, pi2: {}, pi3: {} }\n';
  t.regex(
    parsePolicy(more, { members: ['pi1', 'pi2'] }).warnings.join(),
    /hosts\.pi3 [^?]*$/,
    'the others have theirs',
  );
});

test('more snapshots than can be in their hold are a warning that names hold and rate', t => {
  const warningsOf = (source: string) =>
    parsePolicy(`cluster: home\nhosts: { a: { sources: { s: { path: /a, ${source} } } } }\n`, { members: ['a'] })
      .warnings;
  t.deepEqual(warningsOf('every: 1h, hold: 90d'), []);
  t.deepEqual(warningsOf('every: 10m, hold: 90d'), []);
  t.deepEqual(warningsOf('every: 1m'), []);
  t.deepEqual(warningsOf('every: 5m, hold: 90d'), [
    'hosts.a.sources.s: with a snapshot every 5m and a hold of 90d, 25920 would be in their hold, and at most 16384 can be: beyond that no snapshot is taken until a hold has run out. Take them less often, or with a shorter hold',
  ]);
  t.regex(warningsOf('every: 10s')[0] ?? '', /a hold of 2d, 17280 would be in their hold/);
  const times = Array.from({ length: 12 }, (_, hour) => `"${hour}:00"`);
  t.deepEqual(warningsOf(`at: [${times}], hold: 1365d`), []);
  t.regex(warningsOf(`at: [${times}], hold: 1366d`)[0] ?? '', /at their times of the day .* 16392/);
  t.deepEqual(warningsOf(`at: [${times.map(time => time.replace('"', '"Sat-Mon '))}], hold: 3000d`), []);
});

test('empty sections read as absent ones', t => {
  const { policy } = parsePolicy('cluster: home\ndefaults:\nhosts:\n  a:\n  b:\n    stores:\n    sources:\ntiming:\n');
  t.deepEqual([...policy.hosts.keys()], ['a', 'b']);
});

test('a policy of 256 KiB is read and one byte more is refused', t => {
  const fill = (size: number) => `cluster: home\n#${'x'.repeat(size - 'cluster: home\n#'.length)}`;
  t.deepEqual(problemsOf(fill(POLICY_BYTES_MAX)), []);
  t.is(problemsOf(fill(POLICY_BYTES_MAX + 1)).length, 1);
});

test('1000 hosts are read and 1001 are refused', t => {
  const hosts = (count: number) =>
    `cluster: home\nhosts:\n${Array.from({ length: count }, (_, index) => `  h${index}: {}\n`).join('')}`;
  t.deepEqual(problemsOf(hosts(HOSTS_MAX)), []);
  t.is(problemsOf(hosts(HOSTS_MAX + 1)).length, 1);
});

test('a source has up to 32 copies, a host 256 sources and 64 stores, and one more of them is refused by its limit', t => {
  const many = (count: number, one: (n: number) => string): string =>
    Array.from({ length: count }, (_, n) => one(n)).join();
  const policies: readonly [number, (count: number) => string, RegExp][] = [
    [32, count => `sources: { s: { path: /s, copies: ${count} } }`, /33.*1 to 32/],
    [256, count => `sources: { ${many(count, n => `s${n}: { path: /s${n} }`)} }`, /at most 256/],
    [64, count => `stores: [${many(count, n => `{ path: /d${n} }`)}]`, /at most 64/],
  ];
  for (const [most, host, refusal] of policies) {
    const problems = (count: number) => problemsOf(`cluster: home\nhosts: { a: { ${host(count)} } }\n`);
    t.deepEqual(problems(most), []);
    t.regex(problems(most + 1).join('\n'), refusal);
  }
});

test('whatever the text, reading it ends in a policy or in a named refusal', t => {
  const soup = fc.array(
    fc.constantFrom(
      'cluster',
      'hosts',
      ': ',
      '\n',
      '  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '#',
      '&a ',
      '*a',
      '!!map ',
      '|',
      '? ',
      'home',
      '\t',
      '---\n',
      '\0',
      'é',
    ),
    { maxLength: 40 },
  );
  law(
    t,
    fc.property(
      fc.oneof(
        fc.string(),
        soup.map(words => words.join('')),
      ),
      text => {
        try {
          parsePolicy(text);
        } catch (error) {
          return error instanceof PolicyError && error.problems.length > 0;
        }
        return true;
      },
    ),
    { numRuns: 500 },
  );
});

test('a store that would lend nothing is refused, unless it is in force already', t => {
  const text = (limit: string) =>
    `cluster: home\nhosts:\n  a:\n    stores: [{ path: /a, limit: ${limit} }, { path: /b, reserve: 0 }]\n`;
  for (const none of ['0', '0 GB']) {
    const problem = /^p\.yaml:4:\d+: hosts\.a\.stores\.0\.limit: bad value .*; allowed: more than 0/;
    t.regex(problemsOf(text(none))[0] ?? '', problem);
  }
  t.deepEqual(problemsOf(text('1 B')), []);
  const { policy } = parsePolicy(text('0'), { isSigned: true });
  t.deepEqual(policy.hosts.get('a')?.stores[0]?.lends, { kind: 'limit', bytes: 0 });
});

test('a time zone that is not known here is refused, but read where it is in force: another host knew it', t => {
  const text = `cluster: home
hosts:
  a:
    sources:
      photos: { path: /photos, at: [10:05, 10:05 Mars/Olympus] }
`;
  t.deepEqual(problemsOf(text), [
    'p.yaml:5:44: hosts.a.sources.photos.at.1: bad value "10:05 Mars/Olympus"; allowed: a time zone that is known here, such as Europe/Berlin, or none for that of the host',
  ]);
  const { policy } = parsePolicy(text, { isSigned: true });
  t.like(policy.hosts.get('a')?.sources[0]?.schedule, { kind: 'at', times: { length: 2 } });
});

test('the JSON Schema names the same keys', t => {
  const schema = policyJsonSchema() as { properties: Record<string, unknown>; additionalProperties: boolean };
  t.deepEqual(Object.keys(schema.properties), ['cluster', 'defaults', 'hosts', 'timing']);
  t.false(schema.additionalProperties);
});

test('a path with control characters is refused, with its place, unless it is in force already', t => {
  const text =
    'cluster: home\nhosts:\n  imac:\n    stores:\n      - { path: "/disk\\u001b[2J" }\n    sources: { docs: { path: "/do\\ncs" } }\n';
  const error = t.throws(() => parsePolicy(text), { instanceOf: PolicyError });
  t.deepEqual(
    error?.problems.map(({ line, column, key }) => [line, column, key]),
    [
      [5, 17, 'hosts.imac.stores.0.path'],
      [6, 30, 'hosts.imac.sources.docs.path'],
    ],
  );
  t.regex(error?.message ?? '', /allowed: a path without control characters/);
  t.is(parsePolicy(text, { isSigned: true }).policy.hosts.get('imac')?.stores[0]?.path, '/disk\u001b[2J');
});
