/**
 * Source disks: sets the folders of this host's sources apart, like its stores (platform/disk.ts). A network
 * share whose server is away then holds up neither the other sources, nor the stores, nor the end of the service. A
 * disk that has hung for too long is given up: its source is missing until the last call there has ended.
 *
 * The disk of the state folder is never set apart: everything waits for that one anyway, and what lies there shares
 * the threads of all. Which disk a folder lies on is checked again and again, because another one may have been
 * mounted there.
 */
import { realpathSync, statSync } from 'node:fs';
import { type HostId, type SourceId, sourceIdOf } from '../core/ids.js';
import type { SourceSetting, StoreSetting } from '../membership/policy.js';
import { type Disk, PATIENCE, type Patience, putBack, setApart } from '../platform/disk.js';
import { stat } from '../platform/disk-calls.js';
import type { Alarms } from './alarms.js';
import { END_PATIENCE, HANGS, watchDisks } from './hanging.js';

/** How often to check which disk a folder lies on, in ms: as often as stores are looked for. */
const LOOK_EVERY_MS = 60_000;

export interface SourceDisksOptions {
  readonly stateDir: string;
  readonly host: HostId;
  readonly alarms: Alarms;
  /** Default: PATIENCE. */
  readonly patience?: Patience;
}

interface SourceDisk {
  readonly setting: Pick<SourceSetting, 'name' | 'path'>;
  /** Undefined when the folder lies on the state folder's disk or on a store's. */
  disk: Disk | undefined;
}

export class SourceDisks {
  readonly #options: SourceDisksOptions;
  readonly #sources = new Map<SourceId, SourceDisk>();
  /** Disks of all sources that ever were: a run of one that left the policy, or was moved, may still wait there. */
  readonly #apart = new Set<Disk>();
  readonly #stateFolders: readonly string[];
  readonly #stateDevice: number;
  #stores: readonly string[] = [];
  #patience: Patience;
  readonly #watch: NodeJS.Timeout;
  readonly #look: NodeJS.Timeout;

  constructor(options: SourceDisksOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
    this.#stateFolders = [options.stateDir, realpathSync(options.stateDir)];
    this.#stateDevice = statSync(options.stateDir).dev;
    this.#watch = watchDisks(
      () => this.#apart,
      () => this.#lookWhichHang(),
    );
    this.#look = setInterval(() => this.#lookAtAll(), LOOK_EVERY_MS);
  }

  /** Called before anything of a source is read. */
  configure(sources: readonly SourceDisk['setting'][], stores: readonly Pick<StoreSetting, 'path'>[]): void {
    this.#stores = stores.map(({ path }) => path);
    const wanted = new Map(sources.map(setting => [sourceIdOf(this.#options.host, setting.name), setting]));
    for (const [source, { setting }] of this.#sources) {
      if (wanted.get(source)?.path === setting.path) continue;
      this.#sources.delete(source);
      this.#options.alarms.clear('SOURCE_MISSING', subjectOf(source));
    }
    for (const [source, setting] of wanted)
      if (!this.#sources.has(source)) this.#sources.set(source, { setting, disk: undefined });
    this.#lookAtAll();
  }

  /** Why the source cannot be read now: a sentence. */
  hanging(source: SourceId): string | undefined {
    return this.#sources.get(source)?.disk?.isGivenUp ? HANGS : undefined;
  }

  /** The service is about to end: from now on a disk is waited for only a limited time. */
  hurry(): void {
    this.#patience = END_PATIENCE;
  }

  close(): void {
    clearInterval(this.#watch);
    clearInterval(this.#look);
  }

  #lookAtAll(): void {
    for (const source of this.#sources.values()) if (source.disk === undefined) this.#setApart(source);
  }

  #setApart(source: SourceDisk): void {
    const { path } = source.setting;
    if (this.#stateFolders.some(folder => isIn(folder, path)) || this.#stores.some(store => isIn(path, store))) return;
    const disk = setApart(path);
    source.disk = disk;
    this.#apart.add(disk);
    // A call of its own, because it may be the first to hang.
    stat(path).then(
      ({ dev }) => {
        if (dev !== this.#stateDevice) return;
        putBack(disk);
        this.#apart.delete(disk);
        source.disk = undefined;
      },
      () => {}, // it is missing, or hangs: the reader of the folder reports both
    );
  }

  #lookWhichHang(): void {
    for (const disk of this.#apart) if (!disk.isGivenUp && disk.hangs(this.#patience)) this.#giveUp(disk);
  }

  #giveUp(disk: Disk): void {
    const { alarms } = this.#options;
    const onIt = [...this.#sources].filter(([, source]) => source.disk === disk);
    disk.giveUp();
    for (const [source, { setting }] of onIt) {
      const text = `source ${setting.name}: ${HANGS}; snapshots that it has are kept`;
      alarms.raise('SOURCE_MISSING', subjectOf(source), text);
    }
    void disk.settled().then(() => {
      disk.takeUp();
      // One that was moved meanwhile may have an alarm about its new disk.
      for (const [source, known] of onIt)
        if (this.#sources.get(source) === known) alarms.clear('SOURCE_MISSING', subjectOf(source));
    });
  }
}

/** Not the source itself: its runs have an alarm of the same code about that (snapshot-runs.ts). */
const subjectOf = (source: SourceId): string => `disk of ${source}`;

const isIn = (path: string, folder: string): boolean =>
  `${path}/`.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
