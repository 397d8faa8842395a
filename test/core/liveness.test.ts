import test from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { decideLiveness, type LivenessView } from '../../src/core/liveness.js';

const view = (change: Partial<LivenessView>): LivenessView => ({
  nowMs: 1_000_000,
  knownSinceMs: 0,
  lastHeardMs: 999_000,
  connected: true,
  disconnectedAtMs: undefined,
  risingHeartbeats: 5,
  before: 'live',
  deadAfterMs: DEFAULT_TIMING.deadMs,
  heartbeatIntervalMs: DEFAULT_TIMING.heartbeatMs,
  timing: DEFAULT_TIMING,
  ...change,
});
const state = (change: Partial<LivenessView>) => decideLiveness(view(change)).state;

test('a host is live until it has been silent for `suspect`, and dead after `dead`', t => {
  const { suspectMs, deadMs } = DEFAULT_TIMING;
  t.is(state({ lastHeardMs: 0, nowMs: suspectMs - 1 }), 'live');
  t.is(state({ lastHeardMs: 0, nowMs: suspectMs }), 'suspect');
  t.is(state({ lastHeardMs: 0, nowMs: deadMs - 1 }), 'suspect');
  t.is(state({ lastHeardMs: 0, nowMs: deadMs }), 'dead');
});

test('a silent process is suspect even while its connection stands', t => {
  t.is(state({ connected: true, lastHeardMs: 0, nowMs: DEFAULT_TIMING.suspectMs }), 'suspect');
});

test('a broken connection makes a host suspect after `redial`, unless heartbeats still arrive through others', t => {
  const broken = { connected: false, disconnectedAtMs: 100_000, nowMs: 100_000 + DEFAULT_TIMING.redialMs };
  const timing = { ...DEFAULT_TIMING, suspectMs: 600_000 };
  t.is(state({ ...broken, timing, lastHeardMs: 99_000 }), 'suspect');
  t.is(state({ ...broken, timing, lastHeardMs: 99_000, nowMs: broken.nowMs - 1 }), 'live');
  t.is(state({ ...broken, timing, lastHeardMs: 101_000 }), 'live');
});

test('one heartbeat does not bring a host back; two rising ones or a connection do', t => {
  for (const before of ['suspect', 'dead'] as const) {
    t.is(state({ before, connected: false, risingHeartbeats: 1 }), before);
    t.is(state({ before, connected: false, risingHeartbeats: 2 }), 'live');
    t.is(state({ before, connected: true, risingHeartbeats: 0 }), 'live');
  }
});

test('a host that was dead and spoke once does not become merely suspect when it falls silent again', t => {
  const once = { before: 'dead', connected: false, risingHeartbeats: 1, lastHeardMs: 0 } as const;
  t.is(state({ ...once, nowMs: DEFAULT_TIMING.suspectMs + 1 }), 'dead');
});

test('a host never heard of is suspect from our start on and dead only after `dead` of our own time', t => {
  const never = { lastHeardMs: undefined, knownSinceMs: 500_000, connected: false, before: 'suspect' } as const;
  t.is(state({ ...never, nowMs: 500_000 }), 'suspect');
  t.is(state({ ...never, nowMs: 500_000 + DEFAULT_TIMING.deadMs - 1 }), 'suspect');
  t.is(state({ ...never, nowMs: 500_000 + DEFAULT_TIMING.deadMs }), 'dead');
});

test('where heartbeats are stretched, patience is stretched alike', t => {
  const stretched = { heartbeatIntervalMs: 10 * DEFAULT_TIMING.heartbeatMs, lastHeardMs: 0 };
  t.is(state({ ...stretched, nowMs: 10 * DEFAULT_TIMING.suspectMs - 1 }), 'live');
  t.is(state({ ...stretched, nowMs: 10 * DEFAULT_TIMING.suspectMs }), 'suspect');
});

test('the verdict names the moment when silence alone will change it', t => {
  const verdict = decideLiveness(view({ lastHeardMs: 0, nowMs: 1 }));
  t.is(state({ lastHeardMs: 0, nowMs: verdict.nextMs - 1 }), 'live');
  t.is(state({ lastHeardMs: 0, nowMs: verdict.nextMs }), 'suspect');
});
