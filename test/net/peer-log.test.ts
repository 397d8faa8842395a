import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { PeerLog, STRANGER_LINES_BURST } from '../../src/net/peer-log.js';
import { logInto } from './fleet.js';

const WARN = 40;

test('strangers, of whom there may be any number, have a few lines together, and members all of theirs', t => {
  const lines: Record<string, unknown>[] = [];
  const log = new PeerLog(logInto(lines), peer => peer === 'member');
  const count = 2 * STRANGER_LINES_BURST;
  for (let n = 0; n < count; n += 1) {
    log.warn(`stranger ${n}` as PeerName, {}, 'an offence');
    log.warn('member' as PeerName, {}, 'an offence');
  }
  const told = lines.filter(({ level }) => level === WARN);
  t.is(told.filter(({ peer }) => peer === 'member').length, count);
  t.is(told.filter(({ peer }) => peer !== 'member').length, STRANGER_LINES_BURST);
});
