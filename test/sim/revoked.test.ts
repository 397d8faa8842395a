/** Revoked: who knows of a revocation has no connection with that host any more, and gives it nothing, whatever was under way. */
import test from 'ava';
import type { SimHost } from '../../sim/sim-host.js';
import { MINUTE_MS, SECOND_MS, World } from '../../sim/world.js';

const MB = 1_000_000;

function cluster(): { readonly world: World; readonly hosts: [SimHost, SimHost, SimHost] } {
  const world = new World({ seed: 1 });
  const [first, second, third] = world.addHosts(3, { bytesPerS: MB });
  if (first === undefined || second === undefined || third === undefined) throw new Error('no hosts');
  world.run(MINUTE_MS);
  return { world, hosts: [first, second, third] };
}

const revoke = (world: World, at: SimHost, { id }: SimHost): unknown =>
  world.configure(
    ({ members }) => ({
      members: members.map(member => (member.host === id ? { ...member, state: 'revoked' as const } : member)),
    }),
    { at },
  );

test('connections with a revoked host end as soon as the configuration is in use', t => {
  const { world, hosts } = cluster();
  const [first, second, third] = hosts;
  revoke(world, first, third);
  while (first.disk.config !== world.config && world.step(world.nowMs + SECOND_MS));
  t.false(world.network.isUp(first, third));
  t.true(world.network.isUp(first, second));
  world.run(10 * SECOND_MS);
  t.false(world.network.isUp(second, third));
});

test('what was being sent to it ends, too', t => {
  const { world, hosts } = cluster();
  const [first, , third] = hosts;
  let isComing = false;
  world.witnesses.push(happening => {
    isComing ||= happening.is === 'taking-in' && happening.by.host === third;
  });
  world.backUp(first, { parcels: 4, sizeBytes: 100 * MB });
  while (!isComing) world.run(10);
  revoke(world, first, third);
  world.run(10 * MINUTE_MS);
  t.is(third.stores[0]?.present.size, 0);
});

test('a machine hears that a host was revoked before it hears of what ends by that', t => {
  const { world, hosts } = cluster();
  const [first, , third] = hosts;
  const told: string[] = [];
  world.backUp(first, { parcels: 4, sizeBytes: 100 * MB });
  while (third.running?.machine.known.pending().fetches !== 1) world.run(10);
  world.run(SECOND_MS);
  world.witnesses.push(happening => {
    if (happening.is === 'told' && happening.by.host === third) told.push(happening.input.is);
  });
  revoke(world, third, first);
  world.run(SECOND_MS);
  t.deepEqual(
    told.filter(is => is === 'config' || is === 'fetch-failed'),
    ['config', 'fetch-failed'],
  );
});

test('a question of it that comes late is not answered', t => {
  const { world, hosts } = cluster();
  let isAsked = false;
  const [first, , third] = hosts;
  world.network.delayMs = { least: 500, most: 500 };
  const { running } = third;
  if (running === undefined) throw new Error('it does not run');
  const answers: (string | undefined)[] = [];
  world.network.ask<string>({
    from: running,
    to: first.id,
    ask: (_, reply) => {
      isAsked = true;
      reply('something');
    },
    answered: answer => void answers.push(answer),
  });
  revoke(world, first, third);
  world.run(MINUTE_MS);
  t.false(isAsked);
  t.deepEqual(answers, [undefined]);
});
