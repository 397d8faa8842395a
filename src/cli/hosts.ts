/** `cluster hosts`: the members, their state, and the room they lend. */
import { Command } from 'commander';
import type { HostReport, HostStore } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { hostRecord } from './records.js';
import type { Run } from './run.js';
import { countText, sizeText, spanText, tableText } from './text.js';

export const hostsCommand = (run: Run): Command =>
  new Command('hosts').description('members of the cluster: state, room lent and used').action(run(showHosts));

async function showHosts(context: Context): Promise<ExitCode> {
  const hosts = await context.service().hosts(context.signal);
  if (context.json) for (const host of hosts) await context.record(hostRecord(host));
  else await context.print(hostsTable(context.isTerminal, hosts));
  return EXIT.ok;
}

export function hostsTable(isTerminal: boolean, hosts: readonly HostReport[]): string {
  const nowMs = Date.now();
  return tableText(
    isTerminal,
    [
      { head: 'host' },
      { head: 'state' },
      { head: 'lent', align: 'right' },
      { head: 'used', align: 'right' },
      { head: 'free', align: 'right' },
      { head: 'seen' },
      { head: 'stores' },
    ],
    hosts.map(host => [
      host.self ? `${host.name} (here)` : host.name,
      host.trust === 'trusted' ? host.state : `${host.state}, ${host.trust}`,
      sizeText(host.lentBytes),
      sizeText(host.usedBytes),
      sizeText(host.freeBytes),
      seenText(host, nowMs),
      storesText(host),
    ]),
  );
}

function seenText({ self, seenMs }: HostReport, nowMs: number): string {
  if (self) return 'now';
  // It may have been a member for years: when it was last seen is not kept across a start of the service.
  return seenMs === undefined ? 'not since start' : `${spanText(nowMs - seenMs)} ago`;
}

export const leftText = (parcels: number): string => (parcels === 0 ? 'empty' : `${countText(parcels, 'parcel')} left`);

function storesText({ self, stores, parcelsLeft }: HostReport): string {
  const missing = stores.filter(({ mounted }) => !mounted);
  const draining = stores
    .filter(store => store.mounted && store.draining === true)
    .map(store => `${store.path} is draining${isUnread(store) ? '' : `: ${leftText(store.parcels ?? 0)}`}`);
  const unread = stores.filter(isUnread).map(({ path }) => `${path ?? 'a store'} is being read again`);
  const left = parcelsLeft === undefined ? [] : [leftText(parcelsLeft)];
  return [String(stores.length - missing.length), ...left, ...missingTexts(self, missing), ...unread, ...draining].join(
    '; ',
  );
}

/** A cell with more paths takes most of a screen; with `--json` there are all. */
const PATHS_MAX = 4;

/** Why one of this host is not mounted is told by its alarm, in sentences that no cell has room for. */
function missingTexts(self: boolean, missing: readonly HostStore[]): readonly string[] {
  const how = self ? 'not mounted' : 'not seen mounted';
  const named = missing.flatMap(({ path }) => (path === undefined ? [] : [`${path}: ${how}`]));
  const unnamed = missing.length - named.length;
  if (unnamed === 0) return named;
  const paths = missing.find(({ pathOneOf }) => pathOneOf !== undefined)?.pathOneOf ?? [];
  const all = paths.length > PATHS_MAX ? `its ${paths.length} stores` : paths.join(', ');
  return [...named, `${unnamed} of ${all}: ${how}`];
}

/** What it holds is not all known before it has been read. */
const isUnread = ({ mounted, unread }: HostStore): boolean => mounted && unread === true;
