import test from 'ava';
import { LEFT_MS_MAX, type LeaveView, leaveUntilMs } from '../../src/core/leave-to-faster.js';

const MB = 1_000_000;
const GB = 1_000 * MB;

/** A slow host beside one that is ten times as fast, and a parcel that it would be at for 100 s. */
const view = (change: Partial<LeaveView> = {}): LeaveView => ({
  shortSinceMs: 5_000,
  filledMs: Number.NEGATIVE_INFINITY,
  bytes: GB,
  claimedBytes: 0,
  ownBytesPerS: 10 * MB,
  hasTakerOf: bytesPerS => bytesPerS <= 100 * MB,
  backlogBytes: GB,
  togetherBytesPerS: 110 * MB,
  ...change,
});

test('a slow host leaves what it would be at long after the others are done, for as long as it would be', t => {
  t.is(leaveUntilMs(view()), 5_000 + 100_000);
  t.is(leaveUntilMs(view({ bytes: 100 * GB })), 5_000 + LEFT_MS_MAX);
});

test('… counted from when the others last got on with it, within a quarter of an hour', t => {
  t.is(leaveUntilMs(view({ filledMs: 60_000 })), 60_000 + 100_000);
  t.is(leaveUntilMs(view({ filledMs: 5_000 + LEFT_MS_MAX - 1 })), 5_000 + LEFT_MS_MAX);
});

test('… and takes what it has by then', t => {
  t.is(leaveUntilMs(view({ backlogBytes: 10 * GB })), Number.NEGATIVE_INFINITY);
  t.is(leaveUntilMs(view({ bytes: 100 * MB })), Number.NEGATIVE_INFINITY);
});

test('what it has claimed comes first', t => {
  const later = view({ backlogBytes: 11 * GB, claimedBytes: GB });
  t.is(leaveUntilMs(later), 5_000 + 200_000);
});

test('nothing is left where nobody who could take it is faster, or this host knows nothing of its own pace', t => {
  t.is(leaveUntilMs(view({ hasTakerOf: bytesPerS => bytesPerS <= 19 * MB })), Number.NEGATIVE_INFINITY);
  t.is(leaveUntilMs(view({ hasTakerOf: () => false })), Number.NEGATIVE_INFINITY);
  t.is(leaveUntilMs(view({ ownBytesPerS: 0 })), Number.NEGATIVE_INFINITY);
});
