/**
 * Policy meaning: finds what is wrong with a policy of the right shape: sections that contradict each other or have no
 * effect.
 *
 * A folder used as two stores would lend its disk twice, and a source inside a store would back itself up.
 *
 * Pure. Driven by parse-policy.ts.
 */
import { HOSTS_MAX } from '../core/cluster-config.js';
import { type KeyPath, type PolicyReport, shown } from './policy-report.js';
import { type KeepInput, type PolicyInput, SOURCES_MAX } from './policy-schema.js';
import { isZone } from './schedule.js';

/** Control characters in a path would move the cursor of whoever reads about it, and are most likely a mistake. */
export function reportPaths(input: PolicyInput, report: PolicyReport): void {
  for (const [name, host] of Object.entries(input.hosts ?? {})) {
    const paths = [
      ...(host?.stores ?? []).map(({ path }, index) => ({ at: ['stores', index], path })),
      ...Object.entries(host?.sources ?? {}).map(([source, { path }]) => ({ at: ['sources', source], path })),
    ];
    for (const { at, path } of paths)
      if (/\p{Cc}/u.test(path)) report.value(['hosts', name, ...at, 'path'], 'a path without control characters');
  }
}

/** `draining` is the word for a store that is to hold nothing, and tells where its copies are to go. */
export function reportLending(input: PolicyInput, report: PolicyReport): void {
  for (const [name, host] of Object.entries(input.hosts ?? {}))
    for (const [index, { limit }] of (host?.stores ?? []).entries())
      if (limit === 0)
        report.value(
          ['hosts', name, 'stores', index, 'limit'],
          'more than 0: with 0 a store lends nothing. One that is to be emptied has draining: true',
        );
}

/** Not of a signed policy: who has an older Node could not read it, nor any later one. */
export function reportZones(input: PolicyInput, report: PolicyReport): void {
  for (const [name, host] of Object.entries(input.hosts ?? {}))
    for (const [source, { at = [] }] of Object.entries(host?.sources ?? {}))
      for (const [index, { zone }] of at.entries())
        if (zone !== undefined && !isZone(zone))
          report.value(
            ['hosts', name, 'sources', source, 'at', index],
            'a time zone that is known here, such as Europe/Berlin, or none for that of the host',
          );
}

export function reportMeaning(input: PolicyInput, report: PolicyReport): void {
  if (Object.keys(input.hosts ?? {}).length > HOSTS_MAX)
    report.about(['hosts'], `too many hosts; allowed: at most ${HOSTS_MAX}`);
  reportKeep(input.defaults?.keep, ['defaults', 'keep'], report);

  for (const [name, host] of Object.entries(input.hosts ?? {})) {
    const at: KeyPath = ['hosts', name];
    const stores = host?.stores ?? [];
    const sources = Object.entries(host?.sources ?? {});
    stores.forEach((store, index) => {
      const place = [...at, 'stores', index];
      if (store.limit !== undefined && store.reserve !== undefined) {
        report.about(
          [...place, 'reserve'],
          'limit and reserve exclude each other; allowed: one of them, or none for reserve 10%',
        );
      }
      const before = stores.slice(0, index);
      if (before.some(other => folder(other.path) === folder(store.path))) {
        report.about([...place, 'path'], `${shown(store.path)} is already a store of this host`);
      } else if (before.some(other => isInside(store.path, other.path) || isInside(other.path, store.path))) {
        report.about(
          [...place, 'path'],
          `${shown(store.path)} and another store of this host are one inside the other`,
        );
      }
      if (store.name !== undefined && before.some(other => other.name === store.name)) {
        report.about([...place, 'name'], `${shown(store.name)} is already the name of a store of this host`);
      }
    });
    if (sources.length > SOURCES_MAX)
      report.about([...at, 'sources'], `too many sources; allowed: at most ${SOURCES_MAX} a host`);
    for (const [sourceName, source] of sources) {
      const place = [...at, 'sources', sourceName];
      reportKeep(source.keep, [...place, 'keep'], report);
      if (source.every !== undefined && source.at !== undefined)
        report.about([...place, 'at'], 'every and at exclude each other; allowed: one of them, or none for every 1h');
      const around = stores.find(
        store => folder(store.path) === folder(source.path) || isInside(source.path, store.path),
      );
      if (around !== undefined) {
        report.about(
          [...place, 'path'],
          `${shown(source.path)} lies in this host's store ${shown(around.path)}; a source in a store would back itself up`,
        );
      }
    }
  }
}

/** A path in the form used for comparison: no doubled slashes, and none at the end. */
export const folder = (path: string): string => path.replace(/\/+/g, '/').replace(/(?<=.)\/$/, '');
const isInside = (path: string, outer: string): boolean =>
  folder(path).startsWith(`${folder(outer).replace(/\/$/, '')}/`);

function reportKeep(keep: KeepInput | undefined, path: KeyPath, report: PolicyReport): void {
  if (keep !== undefined && !Object.values(keep).some(count => (count ?? 0) > 0)) {
    report.about(path, 'keeps nothing; allowed: at least one of last, hourly, daily, weekly, monthly, yearly above 0');
  }
}
