/**
 * Run service: how one host starts, and how it ends. It makes, in this order: the host's own state (own-state.ts), the
 * machine (own-machine.ts), the net (own-net.ts) and all the parts (parts.ts). Some parts are made together, in
 * state-disk.ts, known-sources.ts, own-sources.ts, copies.ts, upkeep.ts and control.ts. The machine is told nothing
 * before all of them are there.
 *
 * Each part is made after the parts that it needs and ended before them, in exactly the reverse order: so a part that
 * still works when the service ends finds what it needs. Once nobody can ask any more, all work under way is told to
 * end.
 */
import { type Logger, pino } from 'pino';
import { inWords } from '../core/disk-trouble.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { HostId, PeerName } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { isAddress } from '../membership/policy-schema.js';
import { type Spread, spreadMembership } from '../membership/spread.js';
import { serveObjects } from '../net/object-protocol.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { LogLines } from '../platform/log-lines.js';
import { startControl } from './control.js';
import { makeOwnMachine } from './own-machine.js';
import { type OwnNetOptions, startOwnNet } from './own-net.js';
import { objectsOf } from './own-objects.js';
import { type OwnState, openOwnState } from './own-state.js';
import { type Host, makeParts, type Parts } from './parts.js';
import { hearPeers, tellConnected } from './peer-events.js';
import { Teardown } from './teardown.js';
import { tellSystemd } from './tell-systemd.js';

/** The code of the error with which a service ends that must start again as another host. */
export const OTHER_HOST = 'OTHER_HOST';

export interface ServiceOptions extends OwnNetOptions {
  readonly stateDir: string;
  /** Ends the service when it aborts, even before the service is ready. */
  readonly signal: AbortSignal;
  /** Called once, when everything runs. */
  readonly onReady: (ready: {
    readonly host: string;
    readonly cluster: string;
    readonly addresses: readonly string[];
  }) => void;
}

/**
 * Checks addresses to listen on or to dial: an unreadable one would be tried in vain for ever.
 * @throws ClusterError BAD_ADDRESS
 */
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
 * @throws StateLocked; ClusterError OTHER_HOST when it must start again at once; BOOT_BEHIND, NO_CLUSTER, CONFIG_DAMAGED,
 * CONTROL_PATH_TOO_LONG, …; if the service ended for no other error, AggregateError of what did not end cleanly
 */
export async function runService(options: ServiceOptions): Promise<void> {
  // JSON lines on stderr. Stdout gets a single line, when the service is ready.
  const lines = new LogLines();
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'msg' }, lines);
  const endNow = (): void => lines.endNow();
  process.once('exit', endNow);
  const teardown = new Teardown(log);
  let failures: readonly unknown[] = [];
  try {
    await serve(options, { log, teardown });
  } finally {
    failures = await teardown.run();
    await lines.end();
    process.off('exit', endNow);
  }
  if (failures.length > 0) {
    const why = failures.map(failure => messageOf(inWords(failure))).join('; ');
    throw new AggregateError(failures, `the service did not end cleanly: ${why}`);
  }
}

/**
 * The start, step by step. Large indexes and catalogs take minutes to read, so a request to stop is checked between
 * the steps: the service then still ends by itself. A start that is killed counts against the index.
 */
async function serve(
  options: ServiceOptions,
  { log, teardown }: { readonly log: Logger; readonly teardown: Teardown },
): Promise<void> {
  const { signal: stopping } = options;
  const ended = lastingAbort();
  const state = await openOwnState({ stateDir: options.stateDir, log }, teardown);
  const otherHost = becomingOtherHost(state, teardown);
  const self = { ...state, ...makeOwnMachine(state, teardown) };
  if (stopping.aborted) return;

  const host: Host = {
    ...self,
    ...(await startOwnNet(options, self, teardown)),
    signal: ended.signal,
  };
  const parts = await makeParts(host, teardown);
  // A part that ends waits for its work under way; this abort ends that work. It is deferred last, so it runs first.
  teardown.defer(() => ended.abort(new Error('the service stops')));
  let spread: Spread | undefined;
  const askConfig = (of: HostId): void => {
    const peer = host.roster.peerOf(of);
    if (peer !== undefined) spread?.ask(peer);
  };
  host.carryOutBy({ ...host, ...parts, askConfig });

  await recallSources(host, parts, teardown);
  if (stopping.aborted) return;
  await recallOthers(host, parts);
  await openToOthers(host, parts);
  spread = await spreadMembership(host);
  teardown.defer(() => spread?.stop());
  tellConnected(host);
  await parts.stores.open();
  if (stopping.aborted) return;
  await beginWork(host, parts, teardown);

  await options.onReady({
    host: host.membership.self.name,
    cluster: host.membership.configuration.clusterName,
    addresses: host.net.addresses(),
  });
  tellSystemd(log);
  await Promise.race([aborted(stopping), parts.watch.behind, otherHost]);
  log.info({ code: 'STOPPING' }, 'the service stops');
}

/**
 * Never fulfilled. Rejected with OTHER_HOST once the configuration says that this machine is another host than it has
 * been: all that runs works for the one that it was.
 */
function becomingOtherHost(
  { membership, log }: Pick<OwnState, 'membership' | 'log'>,
  teardown: Teardown,
): Promise<never> {
  const becoming = new Promise<never>((_, reject) => {
    const look = (): void => {
      if (!membership.isOtherHost) return;
      const why = 'by the configuration this machine is another host from now on: the service starts again as that one';
      log.warn({ code: OTHER_HOST }, why);
      reject(new ClusterError(OTHER_HOST, `${why}. Nothing else was changed`, { blame: 'passing' }));
    };
    teardown.defer(membership.onChange(look));
  });
  // It is awaited only after everything has started.
  becoming.catch(() => undefined);
  return becoming;
}

/** What the machine knew before comes first, because it judges by that what it hears from now on. */
async function recallSources(
  { tell, running, pausing, disk }: Host,
  { known, origin }: Parts,
  teardown: Teardown,
): Promise<void> {
  teardown.defer(pausing.follow(paused => tell({ is: 'paused', paused })));
  tell({ is: 'was-off', forMs: running.offForMs });
  tell({ is: 'unwanted-before', parcels: disk.index.unwanted.all(running.beforeMs) });
  await known.catalog.open();
  await origin.putBackHeads();
}

/**
 * Comes after the sources: a log may name only a limited number of parcels that no head lists, and is not read again
 * for those beyond the limit.
 */
async function recallOthers({ tell, running, disk }: Host, { exchange }: Parts): Promise<void> {
  await exchange.recall();
  tell({ is: 'unanswered-before', audits: disk.index.unanswered.all(running.beforeMs) });
}

async function openToOthers(host: Host, { exchange, known, copies, orders }: Parts): Promise<void> {
  const { net, roster, machine } = host;
  hearPeers({ ...host, exchange });
  const readerFor = (peer: PeerName): ObjectReader => {
    if (roster.isTrusted(peer)) return known.served;
    const asker = roster.hostOf(peer);
    // An untrusted host (a student's) sees nobody else's catalog.
    return asker === undefined ? NOTHING : objectsOf(asker, known.served, machine.known);
  };
  await Promise.all([serveObjects(net, readerFor), exchange.serve(), copies.serve(), orders.serve()]);
}

async function beginWork(host: Host, parts: Parts, teardown: Teardown): Promise<void> {
  const { configurationUse, trees, stores, sourceDisks } = parts;
  teardown.defer(host.membership.onChange(() => configurationUse.begin()));
  configurationUse.begin();
  trees.start();
  // People come last, because all other parts answer their requests.
  await startControl({ ...host, ...parts }, teardown);
  // Runs first of all when the service ends: whatever ends below may wait for a disk.
  teardown.defer(() => stores.hurry());
  teardown.defer(() => sourceDisks.hurry());
}

const NOTHING: ObjectReader = { get: async () => undefined };

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
