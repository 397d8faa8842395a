import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { cluster, recordsOf, serve } from './cli-fixture.js';

test('admin request prints one line on stdout and what to do with it beside, and admin add passes it on', async t => {
  const asked: unknown[] = [];
  let [changed, replaced] = [true, false];
  const stateDir = await serve(t, {
    adminRequest: async () => ({ host: 'mini', line: 'scatterhoard-admin1-abc', isAdmin: false }),
    adminAdd: async request => {
      asked.push(request);
      return { text: '', version: 9, hash: 'h', changed, replaced };
    },
  });
  const run = (...words: readonly string[]) => cluster(['--state', stateDir, 'admin', ...words]);
  t.deepEqual(await run('request'), {
    code: 0,
    out: 'scatterhoard-admin1-abc\n',
    err: 'on a host that is an admin: cluster admin add mini LINE\n',
  });
  t.deepEqual(recordsOf((await run('request', '--json')).out), [
    { message_type: 'admin_request', host: 'mini', line: 'scatterhoard-admin1-abc', is_admin: false },
  ]);
  t.is((await run('add', 'mini', 'scatterhoard-admin1-abc')).out, 'mini is an admin, too (configuration 9)\n');
  replaced = true;
  t.is(
    (await run('add', 'mini', 'x')).out,
    'mini is an admin by its new key, and the one before counts no more (configuration 9)\n',
  );
  [changed, replaced] = [false, false];
  t.is((await run('add', 'mini', 'x')).out, 'mini was an admin already (configuration 9)\n');
  t.like(recordsOf((await run('add', 'mini', 'x', '--json')).out), [{ message_type: 'config', version: 9 }]);
  t.deepEqual(asked[0], { host: 'mini', line: 'scatterhoard-admin1-abc' });
  t.is((await run('add', 'mini')).code, 2);
});

test('a line that makes nobody an admin is refused with 2, and a host without the key with 12', async t => {
  for (const [code, exit] of [
    ['BAD_ADMIN_REQUEST', 2],
    ['NO_SUCH_HOST', 2],
    ['NO_ADMIN_KEY', 12],
  ] as const) {
    const stateDir = await serve(t, {
      adminAdd: async () => {
        throw new ClusterError(code, 'told', { blame: 'operator' });
      },
    });
    t.is((await cluster(['--state', stateDir, 'admin', 'add', 'mini', 'x'])).code, exit);
  }
});
