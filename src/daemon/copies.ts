/**
 * Copies: how this host gets a copy, gives from it, proves that it has it, and removes it. There is one part for each;
 * this file makes the parts and connects their reads: whatever must be proved is read from disk by the dropper, and an
 * origin reads its live files.
 *
 * The machine decides all of this: carry-out.ts brings each effect here; peers ask by the protocols of `serve`.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { ClusterConfig } from '../core/cluster-config.js';
import type { Effect } from '../core/effects.js';
import { type Nonce, parseNonce } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { Signer } from '../core/signed.js';
import type { Net } from '../net/net.js';
import type { Alarms } from './alarms.js';
import { Auditor } from './auditor.js';
import type { Clock } from './clock.js';
import { DamagedCopies } from './damaged-copies.js';
import { DoubtedCopies } from './doubted-copies.js';
import type { Unstamped } from './driver.js';
import { Dropper } from './dropper.js';
import { FetchServer } from './fetch-server.js';
import { Fetcher } from './fetcher.js';
import { GrantAsker } from './grant-asker.js';
import { GrantServer } from './grant-server.js';
import { LiveParcels } from './live-parcels.js';
import { measure } from './measure.js';
import type { ObjectFinder } from './object-finder.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import { Recipes } from './recipes.js';
import { Relocator } from './relocator.js';
import type { Roster } from './roster.js';
import type { ShortBlobs } from './short-blobs.js';
import type { StateDisk } from './state-disk.js';
import type { Teardown } from './teardown.js';

export interface CopiesOptions {
  readonly signer: Signer;
  /** The number of this start. */
  readonly boot: number;
  readonly disk: StateDisk;
  readonly machine: Machine;
  readonly short: ShortBlobs;
  readonly roster: Roster;
  readonly net: Net;
  readonly stores: OwnStores;
  /** Finds records wherever they are. */
  readonly finder: ObjectFinder;
  readonly origin: Origin;
  readonly timing: () => ClusterConfig['timing'];
  readonly pausing: Pausing;
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
}

export interface Copies {
  readonly fetcher: Fetcher;
  /** Measures what a copy of a parcel would take. */
  readonly measure: (effect: Extract<Effect, { do: 'measure' }>) => Promise<void>;
  readonly grants: GrantServer;
  readonly asker: GrantAsker;
  /** Reads possession for every part that must prove it. */
  readonly dropper: Dropper;
  readonly auditor: Auditor;
  readonly relocator: Relocator;
  readonly doubted: DoubtedCopies;
  /** Opens the protocols by which peers ask. */
  readonly serve: () => Promise<void>;
}

export function makeCopies(options: CopiesOptions, teardown: Teardown): Copies {
  const {
    signer,
    boot,
    disk,
    machine,
    short,
    roster,
    net,
    stores,
    finder,
    origin,
    timing,
    pausing,
    clock,
    alarms,
    tell,
    log,
  } = options;
  const recipes = new Recipes({ log });
  teardown.defer(() => recipes.stop());
  const fetcher = new Fetcher({
    net,
    stores,
    objects: finder,
    roster,
    recipes,
    family: parcel => machine.known.family(parcel),
    fits: ref => machine.known.fits(ref),
    doubt: blob => doubted.lookFor(blob),
    tell,
    log,
  });
  teardown.defer(() => fetcher.stop());
  const grants = new GrantServer({ net, roster, signer, boot, tell });
  const damaged = new DamagedCopies({ pathOf: store => stores.mounted(store)?.path, alarms });
  const dropper = new Dropper({
    self: roster.self,
    stores,
    findRecord: (parcel, until) => finder.get(parcel, until),
    signalOf: ask => grants.signalOf(ask),
    short,
    notes: disk.index.unwanted,
    onCorrupt: store => damaged.note(store),
    nameOf: host => roster.nameOf(host),
    tell,
    log,
  });
  teardown.defer(() => dropper.stop());
  const asker = new GrantAsker({
    net,
    roster,
    clock,
    timing,
    bytesOf: parcel => machine.known.bytesOf(parcel),
    tell,
    log,
  });
  teardown.defer(() => asker.stop());
  const live = new LiveParcels({
    catalog: disk.objects,
    cache: disk.cache,
    ownSource: source => origin.ownSource(source),
    renamed: (source, blob) => origin.renamed(source, blob),
    onTorn: torn => origin.torn(torn),
  });
  const auditor = new Auditor({
    net,
    roster,
    reader: dropper,
    live,
    notes: disk.index.unanswered,
    storeOf: parcel => machine.known.storeOf(parcel),
    bytesOf: parcel => machine.known.bytesOf(parcel),
    tell,
    log,
  });
  teardown.defer(() => auditor.stop());
  const relocator = new Relocator({ net, roster, tell, log });
  teardown.defer(() => relocator.stop());
  const doubted = new DoubtedCopies({ reader: dropper, stores, nonce: freshNonce, log });
  teardown.defer(() => doubted.stop());
  const server = new FetchServer({
    net,
    known: machine.known,
    stores,
    roster,
    live,
    recipes,
    doubted,
    pausing,
    clock,
    log,
  });
  return {
    fetcher,
    measure: effect => measure(effect, { stores, objects: finder, tell, log }),
    grants,
    asker,
    dropper,
    auditor,
    relocator,
    doubted,
    serve: async () => {
      await Promise.all([server.serve(), grants.serve(), auditor.serve(), relocator.serve()]);
    },
  };
}

export const freshNonce = (): Nonce => parseNonce(randomBytes(16).toString('hex'));
