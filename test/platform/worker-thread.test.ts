import test, { type ExecutionContext } from 'ava';
import { WorkerThread } from '../../src/platform/worker-thread.js';

type Ask = number | 'throw' | 'signs' | 'end';

function aThread(t: ExecutionContext): WorkerThread<Ask, number> {
  const thread = new WorkerThread<Ask, number>(new URL('./worker-thread-run.js', import.meta.url), 'test');
  t.teardown(() => thread.end());
  return thread;
}

test('asks are answered, of several sessions side by side', async t => {
  const thread = aThread(t);
  const [one, other] = [thread.open(), thread.open()];
  t.not(one.number, other.number);
  t.deepEqual(await Promise.all([one.ask(1), other.ask(2), one.ask(3)]), [2, 4, 6]);
  one.close();
  t.is(await other.ask(4), 8);
  other.close();
  other.close();
  await thread.end();
  const again = thread.open();
  t.is(await again.ask(5), 10);
  again.close();
});

test('a thread gives a sign of life with each answer that it begins, and within one', async t => {
  const thread = aThread(t);
  const [session, other] = [thread.open(), thread.open()];
  t.is(session.signs(), 0);
  await Promise.all([session.ask(1), session.ask(2)]);
  t.is(other.signs(), 2);
  await session.ask('signs');
  t.is(other.signs(), 5);
  session.close();
  other.close();
});

test('what an answer throws comes back with its code, and the thread goes on', async t => {
  const session = aThread(t).open();
  await t.throwsAsync(session.ask('throw'), { message: 'no room', code: 'ENOSPC' });
  t.is(await session.ask(1), 2);
  session.close();
});

test('a thread that ends fails what is asked of it, and the next session begins another', async t => {
  const thread = aThread(t);
  const session = thread.open();
  const ends = session.ask('end');
  await t.throwsAsync(session.ask(1), { message: /ended/ });
  await t.throwsAsync(ends, { message: /ended/ });
  await t.throwsAsync(session.ask(2), { message: /ended/ });
  session.close();
  const next = thread.open();
  t.is(await next.ask(2), 4);
  next.close();
});
