/**
 * Run service: what there is of one host, in the order of its start, and how it ends. What the parts do stands in their own files;
 * parts that are of use together only are made in one: state-disk.ts, known-sources.ts, own-sources.ts, copies.ts, upkeep.ts, control.ts.
 *
 * Each part is made after those that it needs and ended before them, in exactly the reverse order: so whoever still works when the
 * service ends finds what it works with. Once nobody can ask any more, whatever is under way is told to end.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { Chance } from '../core/chance.js';
import { ClusterError } from '../core/fault.js';
import type { HostId } from '../core/ids.js';
import { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import { openMembership } from '../membership/membership.js';
import { publicKeyOf } from '../membership/peer-key.js';
import { isAddress } from '../membership/policy-schema.js';
import { type Spread, spreadMembership } from '../membership/spread.js';
import { serveObjects } from '../net/object-protocol.js';
import { startNet } from '../net/start-net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { takeLock } from '../platform/lock.js';
import { posixFault } from '../platform/posix.js';
import { AbsenceKeeper } from './absence-keeper.js';
import { Alarms } from './alarms.js';
import { countBoot } from './boot-counter.js';
import { BootWatch } from './boot-watch.js';
import { carryOut } from './carry-out.js';
import { steadyClock } from './clock.js';
import { ConfigurationUse } from './configuration-use.js';
import { startControl } from './control.js';
import { freshNonce, makeCopies } from './copies.js';
import { Driver, type Unstamped } from './driver.js';
import { KnownAddresses } from './known-addresses.js';
import { makeKnownSources } from './known-sources.js';
import { MachineNotes } from './machine-notes.js';
import { Orders } from './orders.js';
import { makeOrigin } from './own-sources.js';
import { OwnStores } from './own-stores.js';
import { hearPeers, tellConnected } from './peer-events.js';
import { Protections } from './protection.js';
import { Roster } from './roster.js';
import { RunningTime } from './running-time.js';
import { ShortBlobs, shortOf } from './short-blobs.js';
import { SourceDisks } from './source-disks.js';
import { SourceNames } from './source-names.js';
import { openStateDisk } from './state-disk.js';
import { StateExchange } from './state-exchange.js';
import { LOCK_NAME } from './state-owner.js';
import { StoreHeads } from './store-heads.js';
import { Teardown } from './teardown.js';
import { tellSystemd } from './tell-systemd.js';
import { makeUpkeep } from './upkeep.js';

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

/** Of what is listened at and dialled: what nobody can read would be tried in vain for ever. @throws ClusterError BAD_ADDRESS */
export function checkAddresses(addresses: readonly string[]): void {
  const wrong = addresses.find(address => !isAddress(address));
  if (wrong === undefined) return;
  throw new ClusterError(
    'BAD_ADDRESS',
    `${JSON.stringify(wrong.slice(0, 200))} is no multiaddr, such as /ip4/192.168.1.20/tcp/4747; nothing was started`,
    { blame: 'operator' },
  );
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
  // The lock is let go last: nobody else may open what lies in the folder while a part of us still writes there.
  const lock = takeLock(join(stateDir, LOCK_NAME));
  teardown.defer(() => lock.release());
  const fault = posixFault();
  if (fault !== undefined)
    log.warn({ code: 'POSIX_MISSING', fault }, 'one disk flush a file, and no extended attributes');

  // -------------------------------------------------------------------------------------------------------- who we are
  const clock = steadyClock();
  const wallMs = (): number => clock.wallMs();
  const running = new RunningTime({ stateDir, clock, log });
  const membership = await openMembership({ stateDir, clock: wallMs, runMs: () => running.nowMs(), log });
  const { host: self, signer, seed } = membership.identity;
  const { boot, previousBoot } = await countBoot(stateDir);
  running.start();
  teardown.defer(() => running.stop());
  const ended = lastingAbort();
  const { signal } = ended;

  // ------------------------------------------------------------------------------------------- what lies on our own disk
  const disk = await openStateDisk({ stateDir, signer, wallMs: wallMs(), log }, teardown);
  const { index } = disk;

  // ------------------------------------------------------------------------------------------------- members and machine
  const alarms = new Alarms({ log, wallMs });
  if (disk.damaged !== undefined) alarms.raise('INDEX_DAMAGED', 'index', disk.damaged);
  const roster = new Roster({ self, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  const absences = new AbsenceKeeper({
    stateDir,
    wallMs,
    isMember: host => roster.peerOf(host) !== undefined,
    log,
  });
  teardown.defer(() => absences.close());
  const machine = new Machine({
    self,
    boot,
    chance: new Chance([...new Uint32Array(new Uint8Array(randomBytes(12)).buffer)] as [number, number, number]),
    nonces: freshNonce,
    config: membership.clusterConfig,
    nowMs: clock.nowMs(),
    ranBeforeMs: running.beforeMs,
    absences: absences.past(),
  });
  // Nothing is told before all parts are there, and nothing after the machine is stopped: it outlives every part that tells it.
  const driver = new Driver({
    machine,
    clock,
    carryOut: effect => carryOut(effect, { net, exchange, askConfig, copies, storeHeads, absences, notes, log }),
  });
  teardown.defer(() => driver.stop());
  const tell = (input: Unstamped): void => driver.tell(input);
  const notes = new MachineNotes({ roster, alarms, log });

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
  const isReachable = (host: HostId): boolean => host === self || machine.known.host(host)?.connected === true;
  let spread: Spread | undefined;
  const askConfig = (host: HostId): void => {
    const peer = roster.peerOf(host);
    if (peer !== undefined) spread?.ask(peer);
  };

  // --------------------------------------------------------------------------------------------------------------- parts
  // Some need each other. The one that is made first is given a function that comes to the other, and calls it once all are there.
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
    reservedBytes: store => machine.known.comingBytes(store),
    onMount: store => {
      configurationUse.keepIn(store);
      void storeHeads.learn(store);
    },
  });
  // Ended after all that reads and writes copies.
  teardown.defer(() => stores.close());
  // As long as anybody reads a source.
  const sourceDisks = new SourceDisks({ stateDir, host: self, alarms });
  teardown.defer(() => sourceDisks.close());
  const known = await makeKnownSources(
    {
      stateDir,
      membership,
      objects: disk.objects,
      stores,
      machine,
      roster,
      net,
      running,
      alarms,
      tell,
      log,
      signal,
    },
    teardown,
  );
  const { catalog, finder, mending } = known;
  const names = new SourceNames({ catalog, membership, roster });
  const protections = new Protections({ known: machine.known, reader: mending, isReachable });
  const watch = new BootWatch({
    stateDir,
    boot,
    framesSent: () => net.framesSent,
    nameOf: peer => roster.nameOf(roster.hostOf(peer) ?? self),
    others: () => [...roster.members()].filter(({ host, peer }) => host !== self && roster.isTrusted(peer)).length,
    wallMs,
    alarms,
    log,
  });
  teardown.defer(() => watch.stop());
  const exchange = new StateExchange({
    net,
    known: machine.known,
    heartbeat: () => machine.heartbeat(),
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
  const scratchFolder = join(stateDir, 'catalog');
  const origin = await makeOrigin(
    {
      stateDir,
      scratchFolder,
      signer,
      disk,
      known,
      protections,
      stores,
      sourceDisks,
      exchange,
      machine,
      names,
      roster,
      net,
      clock,
      alarms,
      log,
      signal,
    },
    teardown,
  );
  const storeHeads = new StoreHeads({
    stores,
    catalog,
    origin,
    roster,
    revocations: known.revocations,
    tell,
    log,
    signal,
  });
  const timing = () => membership.clusterConfig.timing;
  const short = new ShortBlobs({
    sources: () => catalog.sources(),
    short: source => shortOf(source, machine.known),
    reader: known.local,
    nowMs: () => clock.nowMs(),
  });
  const copies = makeCopies(
    { signer, boot, disk, machine, short, roster, net, stores, finder, origin, timing, clock, alarms, tell, log },
    teardown,
  );
  const orders = new Orders({ net, origin, roster, log });
  const { trees, sweeper } = makeUpkeep(
    {
      membership,
      disk,
      known,
      stores,
      origin,
      protections,
      machine,
      short,
      roster,
      running,
      clock,
      tell,
      log,
      signal,
    },
    teardown,
  );
  const configurationUse = new ConfigurationUse({
    membership,
    roster,
    net,
    known,
    stores,
    storeHeads,
    sourceDisks,
    origin,
    sweeper,
    tell,
    log,
  });
  // A part that is ended waits for what it has under way: this makes it end, and is deferred after them all to come before.
  teardown.defer(() => ended.abort(new Error('the service stops')));

  // --------------------------------------------------------------------------------------------------------------- start
  // What the machine knew before comes first: what it hears from now on it is to judge by that.
  tell({ is: 'was-off', forMs: running.offForMs });
  tell({ is: 'unwanted-before', parcels: index.unwanted.all(running.beforeMs) });
  // Before the logs: of parcels that no head lists a log may name so many and no more, and it is not read again for those beyond.
  await catalog.open();
  await origin.putBackHeads();
  if (options.signal.aborted) return;
  await exchange.recall();
  tell({ is: 'unanswered-before', audits: index.unanswered.all(running.beforeMs) });
  hearPeers({ net, roster, exchange, addresses, alarms, tell });
  await Promise.all([
    // An untrusted host (a student's) sees nobody's catalog.
    serveObjects(net, peer => (roster.isTrusted(peer) ? known.served : NOTHING)),
    exchange.serve(),
    copies.serve(),
    orders.serve(),
  ]);
  spread = await spreadMembership({ net, membership, log });
  teardown.defer(() => spread?.stop());
  tellConnected({ net, roster, tell });
  await stores.open();
  if (options.signal.aborted) return;
  teardown.defer(membership.onChange(() => configurationUse.begin()));
  configurationUse.begin();
  trees.start();
  // People come last: what they ask is answered by all the rest.
  await startControl(
    {
      stateDir,
      scratchFolder,
      membership,
      machine,
      roster,
      net,
      exchange,
      addresses,
      known,
      stores,
      storeHeads,
      origin,
      orders,
      protections,
      copies,
      trees,
      isReachable,
      clock,
      alarms,
      log,
      signal,
    },
    teardown,
  );
  // First of all: whatever ends below may wait for a disk.
  teardown.defer(() => stores.hurry());
  teardown.defer(() => sourceDisks.hurry());

  await options.onReady({
    host: membership.self.name,
    cluster: membership.configuration.clusterName,
    addresses: net.addresses(),
  });
  tellSystemd(log);
  await Promise.race([aborted(options.signal), watch.behind]);
  log.info({ code: 'STOPPING' }, 'the service stops');
}

const NOTHING: ObjectReader = { get: async () => undefined };

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
