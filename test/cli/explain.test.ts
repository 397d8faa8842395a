import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { entryOf, fileOf, placed } from '../catalog/restore-fixture.js';
import { cluster, each, recordsOf, resolved, serve } from './cli-fixture.js';

const HOSTS = [
  { host: 'nas', why: 'copy' },
  { host: 'mini', why: 'uncounted-copy', because: 'same-domain', with: 'nas' },
  { host: 'pi', why: 'nothing', because: 'no-room' },
  { host: 'imac', why: 'original' },
] as const;

const [FILE] = placed([fileOf('a.raw', 'four')]);

const serving = (t: Parameters<typeof serve>[0], entries = [FILE]) =>
  serve(t, {
    // Who has no copies is asked of a file that nobody gives, too.
    resolve: async ({ thoughAway }) => {
      if (thoughAway !== true) throw new ClusterError('UNREACHABLE', 'nobody has it', { blame: 'passing' });
      return resolved({ under: Buffer.from('a.raw') });
    },
    entries: () => each(...(entries as never[])),
    explain: async () => ({ bytes: 6_000_000, want: 2, have: 1, hosts: HOSTS }),
  });

test('explain says of each host why it holds the file or does not, and of what parcel the file is', async t => {
  const { code, out } = await cluster(['--state', await serving(t), 'explain', 'photos:a.raw']);
  t.is(code, 0);
  t.regex(out, /^photos:a\.raw, snapshot abababab: 1 of 2 copies\nit goes with others in parcel [0-9a-f]{8}, 6 MB, /);
  t.true(
    out.endsWith(
      [
        'host\twhy',
        'nas\tholds a copy',
        'mini\tholds a copy that does not count: nas is in the same place, and holds one',
        'pi\tholds none: it has too little room',
        'imac\tis where it comes from: what is there is no copy\n',
      ].join('\n'),
    ),
    out,
  );
});

test('on a terminal too few copies are red', async t => {
  const env = { NODE_OPTIONS: '--import=data:text/javascript,process.stdout.isTTY=true', TERM: 'xterm' };
  const { out } = await cluster(['--state', await serving(t), 'explain', 'photos:a.raw'], { env });
  t.true(out.includes('snapshot abababab: \u001b[31m1 of 2 copies\u001b[39m\n'), out);
});

test('explain --json gives a record a host, and one of the parcel', async t => {
  const { out } = await cluster(['--state', await serving(t), 'explain', 'photos:a.raw', '--json']);
  const records = recordsOf(out);
  t.deepEqual(records[1], {
    message_type: 'reason',
    host: 'mini',
    why: 'uncounted-copy',
    because: 'same-domain',
    with: 'nas',
  });
  t.like(records.at(-1), { message_type: 'explain', parcel: FILE?.parcel, bytes: 6_000_000, want: 2, have: 1 });
});

test('explain takes one file: a folder is refused, and an empty file needs no copies', async t => {
  const folder = await serving(t, placed([entryOf('a.raw', { kind: 'directory' })]) as never);
  const { code, err } = await cluster(['--state', folder, 'explain', 'photos:a.raw']);
  t.is(code, 2);
  t.regex(err, /photos:a\.raw is a directory: name one file, or use ls-replicas/);
  const ofNothing = ['--state', await serving(t, placed([fileOf('a.raw', '')]) as never), 'explain', 'photos:a.raw'];
  const empty = await cluster(ofNothing);
  t.is(empty.code, 0);
  const { out } = await cluster([...ofNothing, '--json']);
  t.deepEqual(recordsOf(out), [{ message_type: 'explain', parcel: null, bytes: 0, want: 0, have: 0 }]);
  t.regex(empty.out, /is empty: its name is all of it/);
});
