import test from 'ava';
import { pino } from 'pino';
import { type HostId, parseHostId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { MachineNotes } from '../../src/daemon/machine-notes.js';
import type { Roster } from '../../src/daemon/roster.js';

test('an outage is told as what it was, also when all but one of its hosts are no longer waited for', t => {
  const log = pino({ level: 'silent' });
  const names = new Map<HostId, string>(['b', 'c', 'd'].map((name, i) => [parseHostId(`${i}`.repeat(32)), name]));
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const roster = { nameOf: (host: HostId) => names.get(host) } as unknown as Roster;
  const notes = new MachineNotes({ roster, alarms, log });
  const hosts = [...names.keys()];
  notes.outage({ do: 'note-outage', hosts });
  t.regex(alarms.list()[0]?.text ?? '', /^more than a third of the hosts vanished .* Still waited for: b, c, d$/);
  notes.outage({ do: 'note-outage', hosts: hosts.slice(2) });
  t.regex(alarms.list()[0]?.text ?? '', /^more than a third of the hosts vanished .* Still waited for: d$/);
  notes.outage({ do: 'note-outage', hosts: [] });
  t.deepEqual(alarms.list(), []);
});
