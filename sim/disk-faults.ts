/** Disk faults: what happens to the disks of one host: those of its stores and that of its state folder. */
import type { SimHost } from './sim-host.js';
import type { StateDisk } from './state-disk.js';
import type { World } from './world.js';

export class DiskFaults {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  #setStores(host: SimHost, set: (store: SimHost['stores'][number]) => () => void): () => void {
    const ends = host.stores.map(set);
    return () => {
      for (const end of ends) end();
    };
  }

  /** Sets the disks of the stores, that of the state folder, or both, as if a single disk held everything. */
  setDisks(host: SimHost, dice: number, set: (disk: SimHost['stores'][number] | StateDisk) => () => void): () => void {
    const which = (dice >>> 26) % 4;
    const ends = [...(which === 3 ? [] : host.stores), ...(which < 2 ? [] : [host.disk.state])].map(set);
    return () => {
      for (const end of ends) end();
    };
  }

  /** One of several disks is away for a while: the host goes on with the others. */
  pull(host: SimHost, dice: number): () => void {
    const store = host.stores[(dice >>> 8) % host.stores.length] as SimHost['stores'][number];
    const set = (pulled: boolean): void => {
      store.pulled = pulled;
      const { running } = host;
      running?.enter(() => running.lookAgain());
    };
    set(true);
    return () => set(false);
  }

  /** Sets quotas that nobody is told of, and that stay. */
  setQuotas({ stores }: SimHost, dice: number): void {
    for (const store of stores)
      store.quotaBytes = store.usedBytes + Math.floor(((store.lentBytes - store.usedBytes) * ((dice >>> 8) % 32)) / 64);
  }

  spoil(host: SimHost, dice: number): void {
    const store = host.stores[dice % Math.max(1, host.stores.length)];
    const present = [...(store?.present ?? [])];
    const parcel = present[(dice >>> 8) % Math.max(1, present.length)];
    if (store === undefined || parcel === undefined) return;
    if (store.keeps(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
    store.spoil(parcel, 'rotten');
  }

  /**
   * The power fails, and writes that the disk had confirmed are lost; those of the index too, if a single disk holds
   * everything.
   */
  loseWrites(host: SimHost, dice: number): void {
    this.#world.crash(host);
    const isOneDisk = (dice >>> 8) % 2 === 0;
    for (const store of host.stores) {
      const before = new Set(store.present);
      store.cutLog(Math.max(0, store.log.seq - 1 - (dice % 4)));
      if (isOneDisk) host.disk.index.set(store.id, store.log.positionAt(store.log.seq));
      for (const parcel of before)
        if (!store.present.has(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
    }
    this.#world.happened({ is: 'disk-replaced', host });
  }

  /** The power fails, and only a part of the file that was written last is there, although its `add` is in the log. */
  tearWrites(host: SimHost): void {
    this.#world.crash(host);
    for (const store of host.stores) {
      const parcel = [...store.files.keys()].at(-1);
      if (parcel === undefined) continue;
      if (store.keeps(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
      store.spoil(parcel, 'half');
    }
  }

  /** A person deletes the index: what was read of others, and how far our own stores were followed. */
  loseIndex(host: SimHost): void {
    this.#world.crash(host);
    const { archive, frames, index, indexBoot, unwanted, unanswered } = host.disk;
    for (const map of [archive, frames, index, indexBoot, unwanted, unanswered]) map.clear();
  }

  wipe(host: SimHost, dice: number): void {
    const world = this.#world;
    world.loseCopies(host);
    world.crash(host);
    world.replaceStores(host);
    if (dice % 2 === 0) {
      const { heads, history, kept, unwanted, unanswered, archive } = host.disk;
      for (const map of [heads, history, kept, unwanted, unanswered, archive]) map.clear();
    }
    world.happened({ is: 'disk-replaced', host });
    world.start(host);
  }

  oldImage(host: SimHost): () => void {
    const world = this.#world;
    const image = host.disk.image();
    return () => {
      if (host.lost) return;
      world.crash(host);
      for (const store of host.stores) {
        const old = image.stores.find(({ id }) => id === store.id);
        for (const parcel of store.held())
          if (old?.keeps(parcel) !== true) world.happened({ is: 'injected-loss', host, parcel });
      }
      host.disk = image;
      world.happened({ is: 'disk-replaced', host });
      world.start(host);
    };
  }

  cutCapacity(host: SimHost, dice: number): () => void {
    return this.#setStores(host, store => {
      const { lentBytes } = store;
      store.wasCut = true;
      store.lentBytes = Math.floor((store.usedBytes * (dice % 100)) / 100);
      return () => {
        store.lentBytes = lentBytes;
      };
    });
  }
}
