/** Checks: what scenarios demand of a world, always or in the end. Each result says what is wrong, for people. */
import { mayHoldCopies } from '../src/core/cluster-config.js';
import type { Check } from './world.js';

/**
 * No origin has a snapshot still to take. One that its disk refused is tried again minutes later, when the fault that it
 * belongs to may long be over: an attacker's lists nothing of what was backed up since.
 */
export const everySnapshotIsTaken: Check = ({ hosts }) => {
  const due = hosts.find(({ running }) => running !== undefined && running.snapshotsDue > 0);
  return due && `h${due.number} has a snapshot still to take`;
};

/** Every parcel that a newest head lists has at least this many intact copies. */
export const everyParcelHas =
  (copies: number): Check =>
  world => {
    const due = everySnapshotIsTaken(world);
    if (due !== undefined) return due;
    for (const { source } of world.config.sources) {
      // Until the head is durable somewhere, nobody asks for what it lists.
      const signed = world.catalog.heads(source).at(-1)?.seq ?? 0;
      if ((world.newestHead(source)?.seq ?? 0) < signed) return `head ${signed} of ${source} is still to be written`;
    }
    for (const { parcel } of world.listed()) {
      const have = world.copies(parcel.ref.id);
      if (have < copies) return `parcel ${parcel.ref.id.slice(0, 8)} has ${have} copies, not ${copies}`;
    }
    return undefined;
  };

/** No parcel has more than this many intact copies, wherever they are. */
export const noParcelHasOver =
  (copies: number): Check =>
  world => {
    for (const { parcel } of world.listed()) {
      const have = world.holders(parcel.ref.id).length;
      if (have > copies) return `parcel ${parcel.ref.id.slice(0, 8)} has ${have} copies, more than ${copies}`;
    }
    return undefined;
  };

/** No host has a parcel in two of its stores. */
export const noHostHasTwo: Check = ({ hosts }) => {
  for (const { number, stores } of hosts) {
    const held = stores.flatMap(({ present }) => [...present]);
    const twice = held.find((parcel, i) => held.indexOf(parcel) !== i);
    if (twice !== undefined) return `h${number} has parcel ${twice.slice(0, 8)} twice`;
  }
  return undefined;
};

/** Every running service of an active member has the newest configuration in use. */
export const everybodyHasTheConfig: Check = world => {
  const { version, hash, members } = world.config;
  const active = new Set(members.flatMap(({ host, state }) => (state === 'active' ? [host] : [])));
  for (const { id, number, running, disk } of world.hosts) {
    if (running === undefined || !active.has(id) || disk.config.hash === hash) continue;
    return `h${number} uses configuration ${disk.config.version}, and the newest is ${version}`;
  }
  return undefined;
};

/** Every running service of an active, trusted member sees the same heads and holdings. */
export const viewsAgree: Check = world => {
  const active = new Set(
    world.config.members.flatMap(member => (member.state === 'active' && mayHoldCopies(member) ? [member.host] : [])),
  );
  const running = world.hosts.flatMap(({ id, running: service }) =>
    service === undefined || !active.has(id) ? [] : [service],
  );
  for (const { source } of world.config.sources) {
    const newest = world.newestHead(source);
    for (const { machine, host } of running) {
      const seen = machine.known.head(source);
      if (seen?.hash !== newest?.hash) return `h${host.number} sees head ${seen?.seq} of ${source}, not ${newest?.seq}`;
    }
  }
  for (const { host: owner } of running) {
    for (const store of owner.stores) {
      for (const { machine, host } of running) {
        const read = [...machine.known.positions()].find(
          ({ host: of, position }) => of === owner.id && position.store === store.id,
        );
        // A log without operations is not asked for.
        if (read === undefined && store.log.seq === 0) continue;
        if (read?.position.digest === store.log.digestAt(store.log.seq)) continue;
        return `h${host.number} has read h${owner.number}'s log up to ${read?.position.seq}, not ${store.log.seq}`;
      }
    }
  }
  return undefined;
};

/** No host fetches, claims or tries to drop anything. */
export const nothingIsPending: Check = world => {
  for (const { running, number } of world.hosts) {
    const pending = running?.machine.known.pending();
    if (pending === undefined) continue;
    const busy = Object.entries(pending).filter(([, count]) => count > 0);
    if (busy.length > 0) return `h${number} has ${busy.map(([what, count]) => `${count} ${what}`).join(', ')}`;
  }
  return undefined;
};
