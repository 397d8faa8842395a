/**
 * Run service: puts the parts of one host together, starts them in the order in which each needs the others, and ends them
 * in the reverse order. What the parts do stands in their own files.
 */

import { execFile } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { decodeHead, type Head, verifyHead } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { recordBlobs } from '../catalog/record.js';
import { ScanCache } from '../catalog/scan-cache.js';
import { BadSignature } from '../catalog/sealed-object.js';
import { SourceHistory } from '../catalog/source-history.js';
import { Chance } from '../core/chance.js';
import type { Effect } from '../core/effects.js';
import { ClusterError } from '../core/fault.js';
import {
  type HostId,
  type Nonce,
  type ObjectId,
  type ParcelId,
  type PeerName,
  parseNonce,
  type SourceId,
  type StoreId,
  splitSourceId,
} from '../core/ids.js';
import { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import { openMembership } from '../membership/membership.js';
import { publicKeyOf } from '../membership/peer-key.js';
import { type Spread, spreadMembership } from '../membership/spread.js';
import { splitForFrames } from '../net/gossip-border.js';
import { type Net, startNet } from '../net/net.js';
import { serveObjects } from '../net/object-protocol.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { takeLock } from '../platform/lock.js';
import { posixFault } from '../platform/posix.js';
import { openIndexDatabase } from '../store/index-database.js';
import { ObjectFolder } from '../store/object-folder.js';
import type { Store } from '../store/store.js';
import { AbsenceKeeper } from './absence-keeper.js';
import { Alarms } from './alarms.js';
import { Answers } from './answers.js';
import { Auditor } from './auditor.js';
import { BlobSource } from './blob-source.js';
import { countBoot } from './boot-counter.js';
import { BootWatch } from './boot-watch.js';
import { Brakes } from './brakes.js';
import { CatalogKeeper } from './catalog-keeper.js';
import { CatalogSweeper, type ShortParcel } from './catalog-sweeper.js';
import { type Clock, steadyClock } from './clock.js';
import { startControlServer } from './control-server.js';
import { DamagedCopies } from './damaged-copies.js';
import { DoubtedCopies } from './doubted-copies.js';
import { type DrillOptions, drill } from './drill.js';
import { Driver, type Unstamped } from './driver.js';
import { Dropper } from './dropper.js';
import { FetchServer } from './fetch-server.js';
import { Fetcher } from './fetcher.js';
import { Forgotten } from './forgotten.js';
import { GrantAsker } from './grant-asker.js';
import { GrantServer } from './grant-server.js';
import { Hooks } from './hooks.js';
import { beginIndexTrial } from './index-trial.js';
import { KnownAddresses } from './known-addresses.js';
import { LiveParcels } from './live-parcels.js';
import { LoopDelay } from './loop-delay.js';
import { LocalObjects, MendingObjects, ObjectFinder } from './object-finder.js';
import { OnceCopied } from './once-copied.js';
import { Orders } from './orders.js';
import { Origin } from './origin.js';
import { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import { Protections } from './protection.js';
import { Recipes } from './recipes.js';
import { keepsAllByDefault, RecordKeeper } from './record-keeper.js';
import { Relocator } from './relocator.js';
import { Retainer } from './retention.js';
import { Revocations } from './revocations.js';
import { Roster } from './roster.js';
import { RunningTime } from './running-time.js';
import { scrub } from './scrub.js';
import { SelfTest, type SelfTestOptions } from './self-test.js';
import { StateExchange } from './state-exchange.js';
import { type LostParcel, TakingBack } from './taking-back.js';
import { Teardown } from './teardown.js';
import { TreeKeeper } from './tree-keeper.js';

/** After our start, members are waited for this long before a first head is signed, in ms. */
const MEET_MS_MAX = 5_000;
const MEET_LOOK_MS = 100;

export interface ServiceOptions {
  readonly stateDir: string;
  /** Multiaddrs. */
  readonly listen: readonly string[];
  /** Addresses to dial besides those that are known. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
  /** Ends the service when it aborts, also before it is ready. */
  readonly signal: AbortSignal;
  /** Called once, when everything runs. */
  readonly onReady: (ready: {
    readonly host: string;
    readonly cluster: string;
    readonly addresses: readonly string[];
  }) => void;
}

/**
 * Runs until `signal` aborts; returns when everything has ended.
 * @throws StateLocked; ClusterError BOOT_BEHIND, NO_CLUSTER, CONFIG_DAMAGED, CONTROL_PATH_TOO_LONG, …; where nothing else made it
 * end, AggregateError of what did not end cleanly
 */
export async function runService(options: ServiceOptions): Promise<void> {
  const { stateDir } = options;
  // JSON lines on stderr; stdout has one line, when the service is ready.
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'msg' }, pino.destination(2));
  const teardown = new Teardown(log);
  let failures: readonly unknown[] = [];
  try {
    await serve(options, { stateDir, log, teardown });
  } finally {
    failures = await teardown.run();
  }
  if (failures.length > 0) {
    const why = failures.map(error => (error instanceof Error ? error.message : String(error))).join('; ');
    throw new AggregateError(failures, `the service did not end cleanly: ${why}`);
  }
}

async function serve(
  options: ServiceOptions,
  { stateDir, log, teardown }: { readonly stateDir: string; readonly log: Logger; readonly teardown: Teardown },
): Promise<void> {
  const lock = takeLock(join(stateDir, 'lock'));
  teardown.defer(() => lock.release());
  const fault = posixFault();
  if (fault !== undefined)
    log.warn({ code: 'POSIX_MISSING', fault }, 'one disk flush a file, and no extended attributes');
  const clock = steadyClock();
  const membership = await openMembership({ stateDir, clock: () => clock.wallMs(), log });
  const { boot, previousBoot } = await countBoot(stateDir);
  const running = new RunningTime({ stateDir, clock, log });
  running.start();
  teardown.defer(() => running.stop());
  const ended = lastingAbort();
  const { signal } = ended;
  const { host: self, signer, seed } = membership.identity;

  // ------------------------------------------------------------------------------------------- what lies on our own disk
  const trial = beginIndexTrial(stateDir);
  teardown.defer(() => trial.end());
  for (const folder of ['index', 'catalog/heads', 'catalog/own-heads', 'catalog/objects', 'hooks']) {
    await mkdir(join(stateDir, folder), { recursive: true, mode: 0o700 });
  }
  const index = openIndexDatabase(join(stateDir, 'index', 'holdings'));
  teardown.defer(() => index.close());
  const objects = await ObjectFolder.open(join(stateDir, 'catalog', 'objects'), { log, notes: index.unreachedOf() });
  teardown.defer(() => objects.close());
  const cache = new ScanCache(join(stateDir, 'index', 'scan'), { nowMs: clock.wallMs() });
  teardown.defer(() => cache.close());
  const history = await SourceHistory.open({ folder: join(stateDir, 'catalog', 'own-heads'), signer });

  // ------------------------------------------------------------------------------------------------- members and machine
  const alarms = new Alarms({ log, wallMs: () => clock.wallMs() });
  if (trial.damaged !== undefined) alarms.raise('INDEX_DAMAGED', 'index', trial.damaged);
  const roster = new Roster({ self, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  const absences = new AbsenceKeeper({
    stateDir,
    wallMs: () => clock.wallMs(),
    isMember: host => roster.peerOf(host) !== undefined,
    log,
  });
  teardown.defer(() => absences.close());
  const machine = new Machine({
    self,
    boot,
    chance: new Chance([...new Uint32Array(new Uint8Array(randomBytes(12)).buffer)] as [number, number, number]),
    nonces: nonce,
    config: membership.clusterConfig,
    nowMs: clock.nowMs(),
    ranBeforeMs: running.beforeMs,
    absences: absences.past(),
  });
  const driver = new Driver({ machine, clock, carryOut: effect => carryOut(effect) });
  teardown.defer(() => driver.stop());
  const tell = (input: Unstamped): void => driver.tell(input);

  // Large indexes and catalogs take minutes to read. Who stops the service meanwhile is heard here and twice below, so that it
  // still ends by itself: a start that is killed counts against the index.
  if (options.signal.aborted) return;

  // ------------------------------------------------------------------------------------------------------------- network
  const addresses = new KnownAddresses({ stateDir, membership, log });
  teardown.defer(() => addresses.close());
  const net = await startNet({
    privateKeySeed: seed,
    boot,
    listen: options.listen,
    mdns: options.mdns,
    cluster: membership.cluster,
    gate: membership,
    log,
    frameMemory: index.frames,
    knownAddresses: () => addresses.all(),
    staticAddresses: options.peers,
    hosts: membership.clusterConfig.members.length,
  });
  teardown.defer(() => net.stop());
  const isReachable = (host: HostId): boolean => host === self || machine.host(host)?.connected === true;

  let spread: Spread | undefined;

  // --------------------------------------------------------------------------------------------------------------- parts
  const local = new LocalObjects(function* places() {
    yield objects;
    yield* stores.catalogs();
  });
  // An object that is no record is nobody's parcel, and then nobody is likelier than another.
  const likelyPeers = (id: ObjectId): PeerName[] => {
    const parcel = id as ParcelId;
    const hosts = [machine.originOf(parcel), ...machine.holders(parcel).map(({ host }) => host)];
    return hosts.flatMap(host => (host === undefined ? [] : (roster.peerOf(host) ?? [])));
  };
  const finder = new ObjectFinder({ local, net, likely: likelyPeers });
  const mending = new MendingObjects({ own: objects, finder });
  const forgotten = new Forgotten(membership.configuration, source => machine.copiesWanted(source) !== undefined);
  const revocations = new Revocations(membership.configuration);
  const catalog = new CatalogKeeper({
    folder: join(stateDir, 'catalog', 'heads'),
    objects,
    fromPeer: peer => finder.from(peer, signal),
    find: (object, until) => finder.get(object, until),
    forgotten,
    runMs: () => running.nowMs(),
    // A disk that is not there, or is being read again, may have a copy.
    hasCopy: parcel => !stores.logsTellAll || machine.isClaimed(parcel),
    roster,
    revocations,
    tell,
    alarms,
    log,
  });
  const stores = new OwnStores({
    stateDir,
    cluster: membership.cluster,
    host: self,
    signer,
    boot,
    previousBoot,
    index,
    clock,
    alarms,
    tell,
    log,
    signal,
    partialMs: () => membership.clusterConfig.timing.partialMs,
    trashMs: () => membership.clusterConfig.timing.trashMs,
    reservedBytes: store => machine.reservedBytes(store),
    onMount: store => {
      keepConfig(store);
      void learnHeads(store);
    },
  });
  teardown.defer(() => stores.close());
  const fullByDefault = await keepsAllByDefault(stateDir);
  const records = new RecordKeeper({
    net,
    objects,
    keepsAll: () => {
      const { self: own, configuration } = membership;
      const wish = configuration.policy.hosts.get(own.name)?.catalog;
      return own.trust === 'trusted' && (wish === undefined ? fullByDefault : wish === 'full');
    },
    likely: likelyPeers,
    log,
    signal,
  });
  teardown.defer(() => records.stop());
  teardown.defer(() => catalog.stop());
  catalog.onHead((_source, { add, remove }) => {
    records.forget(remove);
    records.want(add);
  });
  const protections = new Protections({ machine, reader: mending, isReachable });
  const watch = new BootWatch({
    stateDir,
    boot,
    framesSent: () => net.framesSent,
    nameOf: peer => roster.nameOf(roster.hostOf(peer) ?? self),
    wallMs: () => clock.wallMs(),
    alarms,
    log,
  });
  teardown.defer(() => watch.stop());
  const exchange = new StateExchange({
    net,
    machine,
    roster,
    stores,
    catalog,
    archive: index.logs,
    onOwnHead: (source, sealed, from) => origin.heardOwnHead(source, sealed, from),
    onOwnFrame: (frame, from) => watch.hear(frame, from),
    tell,
    log,
    signal,
  });
  const brakes = new Brakes({ stateDir, alarms, log });
  const scratchFolder = join(stateDir, 'catalog');
  const origin = new Origin({
    host: self,
    signer,
    history,
    catalog,
    forgotten,
    objects: mending,
    machine,
    cache,
    clock,
    alarms,
    brakes,
    hooks: new Hooks({ stateDir, log }),
    retainer: new Retainer({
      catalog,
      protections,
      brakes,
      clockAheadMs: () => net.clockAheadMs(),
      wallMs: () => clock.wallMs(),
    }),
    onceCopied: new OnceCopied({ self, stateDir, machine, objects: mending, wallMs: () => clock.wallMs(), log }),
    log,
    signal,
    scratchFolder,
    forbidden: () => [stateDir, ...stores.reports().map(({ path }) => path)],
    askEverybody: async () => {
      await meetMembers({ net, roster, clock, signal });
      await Promise.all(net.connected().map(peer => exchange.ask(roster.hostOf(peer) ?? self)));
    },
  });
  teardown.defer(() => origin.stop());
  const recipes = new Recipes();
  teardown.defer(() => recipes.stop());
  const fetcher = new Fetcher({
    net,
    stores,
    objects: finder,
    roster,
    recipes,
    family: parcel => machine.family(parcel),
    fits: ref => machine.fits(ref),
    tell,
    log,
  });
  teardown.defer(() => fetcher.stop());
  const grants = new GrantServer({ net, roster, signer, boot, tell });
  const damaged = new DamagedCopies({ pathOf: store => stores.mounted(store)?.path, alarms });
  const dropper = new Dropper({
    self,
    stores,
    findRecord: (parcel, until) => finder.get(parcel, until),
    signalOf: ask => grants.signalOf(ask),
    notes: index.unwanted,
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
    timing: () => membership.clusterConfig.timing,
    bytesOf: parcel => machine.bytesOf(parcel),
    tell,
    log,
  });
  teardown.defer(() => asker.stop());
  const live = new LiveParcels({
    catalog: objects,
    cache,
    ownSource: source => origin.ownSource(source),
    onTorn: torn => origin.torn(torn),
  });
  const auditor = new Auditor({
    net,
    roster,
    reader: dropper,
    live,
    notes: index.unanswered,
    storeOf: parcel => machine.storeOf(parcel),
    bytesOf: parcel => machine.bytesOf(parcel),
    tell,
    log,
  });
  teardown.defer(() => auditor.stop());
  const relocator = new Relocator({ net, roster, tell, log });
  teardown.defer(() => relocator.stop());
  const doubted = new DoubtedCopies({ reader: dropper, nonce });
  teardown.defer(() => doubted.stop());
  const server = new FetchServer({ net, machine, stores, roster, live, recipes, doubted, clock, log });
  const orders = new Orders({ net, origin, roster, log });
  const trees = new TreeKeeper({
    stores,
    catalog,
    objects: local,
    machine,
    protections,
    roster,
    clock,
    timing: () => membership.clusterConfig.timing,
    log,
    signal,
  });
  teardown.defer(() => trees.stop());
  const sweeper = new CatalogSweeper({
    catalog,
    history,
    origin,
    objects,
    reader: local,
    stores: () => stores.stores(),
    isListed: parcel => machine.isListed(parcel),
    short: shortOf,
    runMs: () => running.nowMs(),
    graceMs: () => membership.clusterConfig.timing.gcGraceMs,
    log,
    signal,
  });
  teardown.defer(() => sweeper.stop());
  const takingBack = new TakingBack({
    lost: lostParcels,
    reader: local,
    blobsOf: recordBlobs,
    stores: () => (membership.self.standing === 'active' && membership.self.trust === 'trusted' ? stores.stores() : []),
    roomBytes: id => stores.roomBytes(id),
    tell: async id => {
      const usedBytes = await stores.usedBytes(id);
      await stores.tellOps(id, segment => ({ is: 'own-ops', segment, usedBytes }));
    },
    log,
    signal,
  });
  teardown.defer(() => takingBack.stop());
  takingBack.start();
  teardown.defer(() => ended.abort(new Error('the service stops')));

  // ------------------------------------------------------------------------------------------------------------- effects
  function carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'gossip':
        for (const message of splitForFrames(effect.message)) {
          net
            .publish(message)
            .catch((error: unknown) => log.debug({ code: 'GOSSIP_FAILED', err: error }, 'a hint was not sent'));
        }
        return;
      case 'ask-state':
        void exchange.ask(effect.host);
        return;
      case 'ask-config': {
        const peer = roster.peerOf(effect.host);
        if (peer !== undefined) spread?.ask(peer);
        return;
      }
      case 'fetch':
        fetcher.start(effect);
        return;
      case 'cancel-fetch':
        fetcher.cancel(effect.fetch);
        return;
      case 'measure':
        void measure(effect);
        return;
      case 'keep-head':
        void keepHead(effect);
        return;
      case 'note-liveness':
        log.info(
          { code: 'HOST_LIVENESS', host: roster.nameOf(effect.host), state: effect.state },
          `a host is ${effect.state}`,
        );
        return;
      case 'note-duplicate':
        noteDuplicate(effect);
        return;
      case 'note-absence':
        absences.note(effect.absence);
        return;
      case 'note-outage':
        noteOutage(effect.hosts);
        return;
      case 'wake':
        return;
      case 'ask-grants':
        asker.ask(effect);
        return;
      case 'cancel-attempt':
        dropper.cancel(effect.attempt);
        asker.cancel(effect.attempt);
        return;
      case 'answer-grant':
        grants.answer(effect);
        return;
      case 'prove-own':
      case 'read-possession':
      case 'drop':
      case 'expire':
      case 'identify':
      case 'note-unwanted':
        dropper.carryOut(effect);
        return;
      case 'ask-audit':
        auditor.ask(effect);
        return;
      case 'note-unanswered':
        auditor.note(effect);
        return;
      case 'note-distrust':
        noteDistrust(effect);
        return;
      case 'note-distrust-full':
        log.warn(
          { code: 'DISTRUST_FULL', copies: effect.copies },
          'so many copies failed their audit that no more can be remembered: those of hosts that are dead, and of stores that are gone, are forgotten first; then others go on counting',
        );
        return;
      case 'offer-relocation':
        relocator.offer(effect);
        return;
      case 'answer-relocation':
        relocator.answer(effect);
        return;
      default:
        effect satisfies never;
    }
  }

  function noteOutage(hosts: readonly HostId[]): void {
    if (hosts.length === 0) {
      alarms.clear('OUTAGE', '');
      return;
    }
    const names = hosts.map(host => roster.nameOf(host)).join(', ');
    alarms.raise(
      'OUTAGE',
      '',
      `${hosts.length} hosts vanished at about the same time (${names}): their power or network may have failed, or this host's own; what they hold is made again only after twice the usual wait`,
    );
  }

  function noteDistrust({ host, store, copies }: Extract<Effect, { do: 'note-distrust' }>): void {
    const subject = `${host} ${store}`;
    if (copies === 0) alarms.clear('AUDIT_FAILED', subject);
    else
      alarms.raise(
        'AUDIT_FAILED',
        subject,
        `${roster.nameOf(host)} says that its store ${store} holds ${copies === 1 ? 'a parcel' : `${copies} parcels`} and could not show the bytes when another host asked: these copies do not count, and are made again elsewhere. Look at that disk; if its files are right, stop the service there and see whether somebody has changed it`,
      );
  }

  function noteDuplicate({ host, duplicate }: Extract<Effect, { do: 'note-duplicate' }>): void {
    if (!duplicate) alarms.clear('DUPLICATE_IDENTITY', host);
    else
      alarms.raise(
        'DUPLICATE_IDENTITY',
        host,
        `two machines run as ${roster.nameOf(host)}: its copies count for nothing until one of them is off. Switch off the copy, or revoke it and let it join anew`,
      );
  }

  async function keepHead({ store: id, source, seq }: Extract<Effect, { do: 'keep-head' }>): Promise<void> {
    try {
      const store = stores.mounted(id);
      if (store === undefined) throw notMounted(id);
      // Of a forgotten source there is nothing to keep but the word that the head was heard.
      await store.appendHead(source, catalog.isForgotten({ source, seq }) ? seq : await copyHead(store, source));
      await stores.tellOps(id, segment => ({ is: 'head-kept', store: id, source, segment }));
    } catch (error) {
      if (!signal.aborted)
        log.warn(
          { code: 'HEAD_NOT_KEPT', store: id, source, err: error },
          'a store could not take a head; it is tried again',
        );
      tell({ is: 'head-not-kept', store: id, source });
    }
  }

  /** The head in force, with what it lists. @returns its seq */
  async function copyHead(store: Store, source: SourceId): Promise<number> {
    const kept = signedHead(source, await store.head(source));
    const known = await catalog.copyTo(source, store.objects, new Set(kept?.snapshots.map(({ id }) => id)));
    if (known === undefined)
      throw new ClusterError('HEAD_UNKNOWN', `no head of ${source} is in force`, { blame: 'passing' });
    if ((kept?.seq ?? 0) <= known.head.seq) await store.putHead(source, known.sealed);
    return known.head.seq;
  }

  function* lostParcels(): Generator<LostParcel> {
    for (const source of catalog.sources()) {
      const { origin } = splitSourceId(source);
      if (isReachable(origin)) continue;
      for (const { id, bytes } of machine.wanted(source))
        if (machine.copies(id) === 0 && machine.storeOf(id) === undefined) yield { parcel: id, bytes };
    }
  }

  function* shortOf(source: SourceId): Generator<ShortParcel> {
    for (const { id } of machine.wanted(source)) {
      const copies = machine.copies(id);
      if (copies < (machine.wantedCopies(id) ?? 1)) yield { parcel: id, copies };
    }
  }

  async function renewHead(store: Store, source: SourceId): Promise<void> {
    try {
      await copyHead(store, source);
    } catch (error) {
      log.warn(
        { code: 'HEAD_NOT_KEPT', store: store.id, source, err: error },
        'what is damaged of a head in a store could not be written anew; the next head of the source does it',
      );
    }
  }

  /** `undefined` for what its origin has not signed so, also one that was revoked; of an unknown one, whatever can be read. */
  function signedHead(source: SourceId, sealed: Uint8Array | undefined): Head | undefined {
    const { origin } = splitSourceId(source);
    const key = roster.keyOf(origin) ?? revocations.keyOf(origin);
    return key === undefined ? headFrom(sealed) : headFrom(sealed, bytes => verifyHead(bytes, key));
  }

  async function measure({ parcel, store: id }: Extract<Effect, { do: 'measure' }>): Promise<void> {
    let missingBytes: number | undefined;
    try {
      const store = stores.mounted(id);
      const record = await finder.get(parcel);
      if (store !== undefined && record !== undefined) {
        const missing = await store.missing(recordBlobs(record));
        // Of a large file all is written anew, however little of it has to come; but what an earlier fetch left is there.
        missingBytes = missing.reduce((sum, ref) => sum + ref.bytes - store.partialBytes(ref), 0);
      }
    } catch (error) {
      log.debug(
        { code: 'NOT_MEASURED', parcel, err: error },
        'what is missing of a parcel could not be told; it is tried again',
      );
    }
    tell({ is: 'measured', parcel, store: id, missingBytes });
  }

  /**
   * A store may have later heads than this state folder, which then is an old image: they are taken from there. Those that an admin
   * has forgotten go: with them what only they lead to. And one that its log says it has, and that is not there, is put there again.
   */
  async function learnHeads(store: Store): Promise<void> {
    await tryHeads(store, undefined, async () => {
      for (const source of await store.heads()) await tryHeads(store, source, () => learnHead(store, source));
    });
    for (const source of [...catalog.sources()]) await tryHeads(store, source, () => putBackHead(store, source));
  }

  /** One source's head that cannot be used must not keep those of the others from the store, or from us. */
  async function tryHeads(store: Store, source: SourceId | undefined, use: () => Promise<void>): Promise<void> {
    try {
      await use();
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ code: 'HEAD_NOT_TAKEN', source, store: store.id, err: error }, 'heads of a store cannot be used');
    }
  }

  async function putBackHead(store: Store, source: SourceId): Promise<void> {
    if (store.headSeq(source) > 0 && (await store.head(source)) === undefined) await copyHead(store, source);
  }

  async function learnHead(store: Store, source: SourceId): Promise<void> {
    const sealed = await store.head(source);
    const head = headFrom(sealed);
    if (head !== undefined && catalog.isForgotten(head)) {
      await store.removeHead(source);
      return;
    }
    if (sealed === undefined || (head?.seq ?? 0) <= (catalog.get(source)?.head.seq ?? 0)) return;
    if (splitSourceId(source).origin === self) await origin.heardOwnHead(source, sealed, store.objects);
    else await catalog.offer(sealed, store.objects, signal);
    log.warn({ code: 'HEAD_FROM_STORE', source, store: store.id }, 'a store had a later head than the state folder');
  }

  function keepConfig(store: { putConfig(version: number, raw: Uint8Array): Promise<void> }): void {
    const { version, raw } = membership.configuration;
    store.putConfig(version, raw).catch((error: unknown) => {
      log.warn(
        { code: 'CONFIG_NOT_KEPT', err: error },
        'a store could not take the configuration; the state folder has it',
      );
    });
  }

  function useConfiguration(): void {
    const { configuration, clusterConfig, self: own } = membership;
    for (const peer of roster.update(clusterConfig.members)) void net.close(peer);
    tell({ is: 'config', config: clusterConfig });
    forgotten.update(configuration);
    revocations.update(configuration);
    catalog
      .reconsider()
      .then(() => Promise.all([...stores.stores()].map(learnHeads)))
      .catch((error: unknown) => log.error({ err: error }, 'what was forgotten could not be let go'));
    for (const store of stores.stores()) keepConfig(store);
    const setting = configuration.policy.hosts.get(own.name);
    for (const [line, rate] of [
      [net.paces.upload, 'uploadBytesPerS'],
      [net.paces.download, 'downloadBytesPerS'],
    ] as const) {
      const ofPeers = [...(setting?.limits.peers ?? [])].flatMap(([name, rates]) => {
        const peer = roster.named(name)?.peer;
        return peer === undefined || rates[rate] === undefined ? [] : [[peer, rates[rate]] as const];
      });
      line.set({ all: setting?.limits[rate], ofPeers: new Map(ofPeers) });
    }
    origin.configure(setting?.sources ?? []);
    sweeper.start();
    stores
      .configure(setting?.stores ?? [])
      .catch((error: unknown) => log.error({ err: error }, 'stores could not be looked at'));
  }

  // --------------------------------------------------------------------------------------------------------------- start
  tell({ is: 'unwanted-before', parcels: index.unwanted.all(running.beforeMs) });
  // Before the logs: of parcels that no head lists a log may name so many and no more, and it is not read again for those beyond.
  await catalog.open();
  if (options.signal.aborted) return;
  await exchange.recall();
  tell({ is: 'unanswered-before', audits: index.unanswered.all(running.beforeMs) });
  net.onConnect((peer, where) => {
    addresses.remember(peer, where);
    alarms.clear('PEER_BANNED', peer);
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'connected', host });
  });
  net.onDisconnect(peer => {
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'disconnected', host });
  });
  net.onGossip((from, message) => {
    const host = roster.hostOf(from);
    if (host !== undefined) exchange.hear(host, message);
  });
  net.onOlderStart(peer => {
    // It learns from our question that it is not heard.
    const host = roster.hostOf(peer);
    if (host !== undefined) void exchange.ask(host);
  });
  net.onOffence((peer, error, banned) => {
    if (banned)
      alarms.raise(
        'PEER_BANNED',
        peer,
        `${roster.nameOf(roster.hostOf(peer) ?? self)} broke the protocol repeatedly and is shut out for 10 min: ${error.message}`,
      );
  });
  await Promise.all([
    // An untrusted host (a student's) sees nobody's catalog.
    serveObjects(net, peer => (roster.isTrusted(peer) ? local : NOTHING)),
    exchange.serve(),
    server.serve(),
    grants.serve(),
    auditor.serve(),
    relocator.serve(),
    orders.serve(),
  ]);
  spread = await spreadMembership({ net, membership, log });
  teardown.defer(() => spread?.stop());
  // Who connected while the parts were made is told of now.
  for (const peer of net.connected()) {
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'connected', host });
  }
  await stores.open();
  if (options.signal.aborted) return;
  teardown.defer(membership.onChange(useConfiguration));
  useConfiguration();
  trees.start();

  const loopDelay = new LoopDelay();
  teardown.defer(() => loopDelay.stop());
  const blobs = new BlobSource({ net, machine, stores, roster, doubted, clock, log });
  const copies: DrillOptions = {
    objects: finder,
    copies: (parcel, wanted, until) => blobs.copies(parcel, wanted, until),
    holders: parcel => machine.holders(parcel).map(({ host }) => roster.nameOf(host)),
    below: count => randomInt(count),
  };
  const drillFrom: SelfTestOptions['drill'] = (snapshot, most, until) => drill(copies, snapshot, most, until);
  const selfTest = new SelfTest({
    ownSources: () => origin.sources(),
    newestProtected: (source, until) =>
      protections.newestProtected(source, catalog.get(source)?.head.snapshots ?? [], until),
    drill: drillFrom,
    hasReachableHolder: parcel => machine.holders(parcel).some(({ host }) => host !== self && isReachable(host)),
    nameOf: source => roster.sourceName(source, [...catalog.sources()]),
    alarms,
    log,
    signal,
  });
  teardown.defer(() => selfTest.stop());
  selfTest.start();
  const service = new Answers({
    membership,
    machine,
    catalog,
    objects: finder,
    stores,
    origin,
    orders,
    roster,
    protections,
    blobs,
    scrub: until =>
      scrub(
        {
          stores: () => stores.stores(),
          reader: dropper,
          bytesOf: parcel => machine.bytesOf(parcel) ?? 0,
          nonce,
          headFrom: signedHead,
          renewHead,
        },
        until,
      ),
    drill: drillFrom,
    alarms,
    clock,
    addresses: () => net.addresses(),
    knownAddresses: () => addresses.all(),
    isReachable,
    loopDelay,
    scratchFolder,
    trees,
  });
  const control = await startControlServer({ stateDir, service, log });
  teardown.defer(() => control.close());

  await options.onReady({
    host: membership.self.name,
    cluster: membership.configuration.clusterName,
    addresses: net.addresses(),
  });
  tellSystemd(log);
  await Promise.race([aborted(options.signal), watch.behind]);
  log.info({ code: 'STOPPING' }, 'the service stops');
}

/** Undefined when there is none, or none that can be read. */
function headFrom(sealed: Uint8Array | undefined, read: (sealed: Uint8Array) => Head = decodeHead): Head | undefined {
  try {
    return sealed && read(sealed);
  } catch (error) {
    if (error instanceof MalformedObject || error instanceof BadSignature) return undefined;
    throw error;
  }
}

const notMounted = (store: StoreId): ClusterError =>
  new ClusterError('STORE_MISSING', `store ${store} is not mounted`, { blame: 'passing' });

const nonce = (): Nonce => parseNonce(randomBytes(16).toString('hex'));

const NOTHING: ObjectReader = { get: async () => undefined };

/** Returns when every member is connected, or after a while: who is off is not waited for. */
async function meetMembers({
  net,
  roster,
  clock,
  signal,
}: {
  readonly net: Net;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<void> {
  const untilMs = clock.nowMs() + MEET_MS_MAX;
  const absent = (): boolean => {
    const connected = new Set(net.connected());
    return [...roster.members()].some(
      ({ host, state, peer }) => host !== roster.self && state !== 'revoked' && !connected.has(peer),
    );
  };
  while (absent() && clock.nowMs() < untilMs) await pause(MEET_LOOK_MS, signal);
}

/** Node has no datagram sockets of the unix kind; systemd's own tool speaks for us where it started us. */
function tellSystemd(log: Logger): void {
  if (process.env.NOTIFY_SOCKET === undefined) return;
  execFile('systemd-notify', ['--ready', `--pid=${process.pid}`], error => {
    if (error !== null)
      log.warn({ code: 'SYSTEMD_NOT_TOLD', err: error }, 'systemd could not be told that the service is ready');
  });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
