/**
 * Settle: what must become true once faults have stopped (I10 to I12): every parcel that can have N copies has exactly
 * N, nothing is pending, unwanted parcels are gone, and all hosts see the same.
 */
import type { Member } from '../src/core/cluster-config.js';
import type { ParcelId } from '../src/core/ids.js';
import { RAISE_ALONE_EVERY_MS } from '../src/core/later-starts.js';
import { HOLD_HEARTBEATS } from './backing-up.js';
import { everybodyHasTheConfig, everySnapshotIsTaken, nothingIsPending, viewsAgree } from './checks.js';
import type { Injector } from './inject.js';
import { whoCanMakeRoom } from './making-room.js';
import type { RunOptions } from './run-options.js';
import type { SimHost } from './sim-host.js';
import { Violation } from './violation.js';
import type { Check, World } from './world.js';

/** Added to the sum of the run's own times: back-offs and retries end after half an hour, and may follow each other. */
const PATIENCE_MS = 3 * 3_600_000;
const PATIENCE_HEARTBEATS = 60;

/** Ends all faults: hosts run, disks work, and everybody is honest. */
export function heal(world: World, injector: Injector): void {
  injector.heal();
  for (const host of world.hosts) {
    // A host that knows it was revoked deals with nobody, even if all others who knew are lost.
    const isRevoked = host.disk.config.members.some(({ host: id, state }) => id === host.id && state === 'revoked');
    if ((host.isClone || isRevoked) && !host.lost) world.lose(host);
    if (host.lost) continue;
    host.lies = undefined;
    host.armed = undefined;
    world.resume(host);
    const { state } = host.disk;
    state.failing = false;
    state.full = false;
    state.slowMs = 0;
    for (const store of host.stores) {
      store.failing = false;
      store.full = false;
      store.slowMs = 0;
      store.readsAtOnce = false;
      store.goesAstray = false;
      store.draining = false;
    }
    world.start(host);
  }
  world.network.lossPercent = 0;
  world.network.duplicatePercent = 0;
  world.network.delayMs = { least: 1, most: 50 };
  world.settleConfig();
  world.writeAdmitted();
  const lost = new Set(world.hosts.flatMap(({ id, lost: isLost, isClone }) => (isLost && !isClone ? [id] : [])));
  world.configure(({ members }) => ({
    members: members.map(member => {
      // A roaming host is waited for at least a day: here a person who knows better revokes it.
      if (member.roaming && lost.has(member.host)) return { ...member, state: 'revoked' };
      return member.state === 'draining' ? { ...member, state: 'active' } : member;
    }),
  }));
  handOnConfig(world);
}

/**
 * The host that admitted some hosts may have forgotten them, restored from an old image: then all that have the newest
 * configuration are strangers to the others, and refused. A person has to hand it on.
 */
function handOnConfig(world: World): void {
  const left = new Set(world.hosts.filter(({ lost }) => !lost));
  const heard = [...left].filter(({ disk, signed }) => disk.config === world.config || signed === world.config);
  for (const from of heard) {
    left.delete(from);
    for (const host of left)
      if (host.disk.config.members.some(({ host: id, state }) => id === from.id && state !== 'revoked'))
        heard.push(host);
  }
  for (const { running } of left) running?.enter(() => running.offerConfig(world.config));
}

/** @throws Violation (I10, I12) when the cluster does not come to rest in time. */
export function settle(world: World, { paceMs, timing }: RunOptions): void {
  const { deadMs = 0, returnMs = 0, gcGraceMs = 0 } = timing;
  const holdMs = HOLD_HEARTBEATS * paceMs;
  // What one member alone has heard of a clone is believed once a day.
  const cloneMs = world.counts.clones > 0 ? RAISE_ALONE_EVERY_MS : 0;
  const patienceMs = PATIENCE_MS + PATIENCE_HEARTBEATS * paceMs + cloneMs;
  const untilMs = world.nowMs + deadMs + returnMs + gcGraceMs + holdMs + patienceMs;
  const checks: readonly Check[] = [
    everySnapshotIsTaken,
    everyParcelHasItsCopies,
    // A parcel that nobody can give is asked for now and then, for ever.
    of => (canAllBeHad(of) ? nothingIsPending(of) : undefined),
    nothingUnwantedIsHeld,
    everybodyIsHeard,
    everybodyHasTheConfig,
    viewsAgree,
  ];
  // A scrub, once most pending work has ended, so that spoiled bytes are found.
  world.run(2 * paceMs);
  world.inOrder = true;
  for (const { running } of world.hosts) running?.scrub();
  for (;;) {
    let wrong: string | undefined;
    for (const check of checks) wrong ??= check(world);
    const unsafe = wrong === undefined ? whatALossTakes(world) : undefined;
    if (wrong === undefined && unsafe === undefined) return;
    if (world.nowMs >= untilMs) throw new Violation(wrong === undefined ? 'I12' : 'I10', wrong ?? unsafe ?? '');
    world.run(paceMs);
  }
}

/**
 * What could not be restored from the remaining hosts after any N − 1 hosts are lost. That every parcel has N intact
 * copies was checked before; but each holder must also have the head that lists the parcel, otherwise nobody could say
 * what the bytes are.
 */
const whatALossTakes: Check = world => {
  const active = new Set(world.config.members.flatMap(member => (counts(member) ? [member.host] : [])));
  for (const { parcel } of world.listed()) {
    const { ref, source } = parcel;
    const newest = world.newestHead(source);
    for (const host of world.holders(ref.id)) {
      if (!active.has(host.id)) continue;
      for (const { heads, present } of host.stores) {
        if (!present.has(ref.id) || (heads.get(source) ?? 0) >= (newest?.seq ?? 0)) continue;
        return `h${host.number} holds ${ref.id.slice(0, 8)} and only head ${heads.get(source)} of ${source}, not ${newest?.seq}`;
      }
    }
  }
  return undefined;
};

/** Every parcel has an intact copy at a member, or its origin is a member and still has the files. */
function canAllBeHad(world: World): boolean {
  const memberOf = new Map(world.config.members.map(member => [member.host, member]));
  const isMember = ({ id, lost }: SimHost): boolean => !lost && memberOf.get(id)?.state === 'active';
  for (const { parcel } of world.listed()) {
    const { ref, origin, source } = parcel;
    const isLive = world.hosts.some(
      host =>
        host.id === origin &&
        isMember(host) &&
        host.disk.heads.get(source)?.snapshots.at(-1)?.refs.has(ref.id) === true,
    );
    if (!isLive && !world.holders(ref.id).some(host => counts(memberOf.get(host.id)))) return false;
  }
  return true;
}

const counts = (member: Member | undefined): boolean => member?.state === 'active' && member.trust === 'trusted';

/**
 * Every parcel has N copies, or as many as there are domains that can take one: as they are, or once a host has moved
 * something away for it.
 */
export const everyParcelHasItsCopies: Check = world => {
  const live = world.hosts.filter(({ lost, isClone }) => !lost && !isClone);
  const memberOf = new Map(world.config.members.map(member => [member.host, member]));
  for (const { parcel, copiesWanted } of world.listed()) {
    const { ref, origin, source } = parcel;
    const what = `parcel ${ref.id.slice(0, 8)} of ${source.slice(0, 6)}`;
    const isAlive = live.some(({ id, disk }) => {
      if (id !== origin || memberOf.get(id)?.state !== 'active') return false;
      return disk.heads.get(source)?.snapshots.at(-1)?.refs.has(ref.id) === true;
    });
    const holders = world.holders(ref.id).filter(({ id }) => counts(memberOf.get(id)));
    if (holders.length === 0 && !isAlive) continue;
    const domains = new Set<string>();
    const taken = new Set<string>();
    for (const host of live) {
      const member = memberOf.get(host.id);
      if (member === undefined || !counts(member) || host.id === origin) continue;
      const holds = host.stores.some(store => store.hasCopy(ref.id));
      if (holds) taken.add(member.domain);
      if (holds || host.stores.some(store => store.freeBytes >= ref.bytes)) domains.add(member.domain);
    }
    const wanted = Math.min(copiesWanted, domains.size);
    if (taken.size < wanted) return `${what} has ${taken.size} of ${wanted} copies`;
    const mover = taken.size < copiesWanted ? whoCanMakeRoom(world, parcel) : undefined;
    if (mover !== undefined)
      return `${what} has ${taken.size} of ${copiesWanted} copies, and h${mover} could make room for it`;
    // While too few domains have a copy, every copy is kept, even a second one in a domain: nobody can prove that it is
    // surplus.
    if (holders.length > copiesWanted && taken.size >= copiesWanted)
      return `${what} has ${holders.length} copies, and ${copiesWanted} are wanted`;
    if (taken.size < copiesWanted) continue;
    for (const { number, stores } of holders)
      if (stores.filter(({ present }) => present.has(ref.id)).length > 1) return `h${number} holds ${what} twice`;
  }
  return undefined;
};

/**
 * No member takes another one for a duplicate, or its messages for late ones of an earlier start, as can happen after a
 * clone. The latter is demanded of trusted members only: what an untrusted one alone has heard of a clone, nobody
 * believes (core/later-starts.ts), so it goes on until the other's next starts.
 */
const everybodyIsHeard: Check = world => {
  const trusted = new Set(world.config.members.flatMap(({ host, trust }) => (trust === 'trusted' ? [host] : [])));
  const active = new Set(world.config.members.flatMap(({ host, state }) => (state === 'active' ? [host] : [])));
  const running = world.hosts.flatMap(({ id, running }) => (active.has(id) ? (running ?? []) : []));
  for (const by of running) {
    for (const of of running) {
      if (by.machine.known.host(of.host.id)?.isSetAside === true)
        return `h${by.host.number} takes h${of.host.number} for one of two machines with one identity`;
      if (!trusted.has(by.host.id)) continue;
      const heard = by.host.disk.frames.get(of.host.id);
      if (heard === undefined || heard.boot < of.boot || heard.bootId === of.bootId) continue;
      return `h${by.host.number} has heard start ${heard.boot} of h${of.host.number}, which is at ${of.boot}`;
    }
  }
  return undefined;
};

const nothingUnwantedIsHeld: Check = world => {
  const wanted = new Set<ParcelId>();
  const sources = new Set(world.config.sources.map(({ source }) => source as string));
  for (const { parcel } of world.listed()) wanted.add(parcel.ref.id);
  for (const host of world.hosts) {
    if (host.lost || host.running === undefined) continue;
    if (!world.config.members.some(({ host: id, state }) => id === host.id && state === 'active')) continue;
    for (const store of host.stores) {
      for (const parcel of store.present) {
        const source = world.catalog.parcel(parcel)?.source ?? '';
        if (wanted.has(parcel) || !sources.has(source)) continue;
        return `h${host.number} still holds ${parcel.slice(0, 8)}, which nobody wants`;
      }
    }
  }
  return undefined;
};
