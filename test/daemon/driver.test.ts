import test from 'ava';
import { pino } from 'pino';
import { Chance } from '../../src/core/chance.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import type { Effect } from '../../src/core/effects.js';
import { parseClusterId, parseHostId, parseNonce, parsePeerName } from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import { steadyClock } from '../../src/daemon/clock.js';
import { Driver } from '../../src/daemon/driver.js';
import { Teardown } from '../../src/daemon/teardown.js';
import { Turns } from '../../src/store/turns.js';

const self = parseHostId('a'.repeat(32));

function lonelyMachine(heartbeatMs: number): Machine {
  const clock = steadyClock();
  return new Machine({
    self,
    boot: 1,
    chance: new Chance([1, 2, 3]),
    nonces: () => parseNonce('0'.repeat(32)),
    ranBeforeMs: 0,
    nowMs: clock.nowMs(),
    config: {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      hash: 'a'.repeat(64),
      members: [
        {
          host: self,
          name: 'a',
          peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
          state: 'active',
          trust: 'trusted',
          domain: self,
          roaming: false,
        },
      ],
      sources: [],
      timing: { ...DEFAULT_TIMING, heartbeatMs, heartbeatPerHostMs: heartbeatMs },
    },
  });
}

test('the machine is woken when it asked to be, again and again, until the driver is stopped', async t => {
  const beats: Effect[] = [];
  await new Promise<void>(resolve => {
    const driver: Driver = new Driver({
      machine: lonelyMachine(100),
      clock: steadyClock(),
      carryOut: effect => {
        beats.push(effect);
        if (beats.length < 4) return;
        driver.stop();
        resolve();
      },
    });
    driver.tell({ is: 'wake' });
  });
  t.true(beats.every(effect => effect.do === 'gossip' && effect.message.kind === 'heartbeat'));
});

test('where the wall clock has gone on and the steady one has not, the machine is told first for how long it slept', t => {
  const machine = lonelyMachine(1000);
  const told: unknown[] = [];
  machine.step = ({ nowMs: _, ...input }) => {
    told.push(input);
    return [];
  };
  const clock = { now: 5_000, wall: 1_000_000, nowMs: () => clock.now, wallMs: () => clock.wall };
  const driver = new Driver({ machine, clock, carryOut: () => undefined });
  const pass = (wallMs: number, steadyMs: number): void => {
    clock.wall += wallMs;
    clock.now += steadyMs;
    driver.tell({ is: 'wake' });
  };
  pass(60_000, 60_000);
  // Put right, forth and back.
  pass(60_000, 1);
  pass(-3_600_000, 0);
  pass(3_600_000, 10);
  driver.stop();
  const wake = { is: 'wake' };
  t.deepEqual(told, [wake, wake, wake, { is: 'was-off', forMs: 3_599_990 }, wake]);
});

test('an input that an effect brings about at once waits until the step is over', t => {
  const order: string[] = [];
  const machine = lonelyMachine(1000);
  const step = machine.step.bind(machine);
  machine.step = input => {
    order.push(`in ${input.is}`);
    const effects = step(input);
    order.push('out');
    return effects;
  };
  const driver: Driver = new Driver({
    machine,
    clock: steadyClock(),
    carryOut: () => driver.tell({ is: 'disconnected', host: self }),
  });
  driver.tell({ is: 'wake' });
  driver.stop();
  t.deepEqual(order.slice(0, 4), ['in wake', 'out', 'in disconnected', 'out']);
});

test('turns under one key follow each other, also after a failure; other keys do not wait', async t => {
  const turns = new Turns<string>();
  const order: string[] = [];
  let open = (): void => undefined;
  const first = turns.take('a', async () => {
    await new Promise<void>(resolve => {
      open = resolve;
    });
    order.push('a1');
    throw new Error('of the first alone');
  });
  const second = turns.take('a', async () => order.push('a2'));
  await turns.take('b', async () => order.push('b'));
  open();
  await t.throwsAsync(first, { message: 'of the first alone' });
  await second;
  t.deepEqual(order, ['b', 'a1', 'a2']);
});

test('a teardown goes backwards, does every step, and logs and gives every failure', async t => {
  const order: number[] = [];
  const lines: object[] = [];
  const teardown = new Teardown(pino({}, { write: line => void lines.push(JSON.parse(line)) }));
  const failure = new Error('two');
  teardown.defer(() => order.push(1));
  teardown.defer(() => {
    throw failure;
  });
  teardown.defer(async () => order.push(3));
  t.deepEqual(await teardown.run(), [failure]);
  t.deepEqual(order, [3, 1]);
  t.like(lines, [{ code: 'TEARDOWN_FAILED', err: { message: 'two' } }]);
});
