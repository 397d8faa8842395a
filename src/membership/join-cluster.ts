/**
 * Join: makes this machine a member, by a token that an admin has made.
 *
 * It contacts the members that the token names until one lets it in. From that one it takes the whole chain of
 * configurations and believes only what follows from the cluster id in the token. Until the last step the state folder
 * belongs to no cluster: a failed try leaves at most a host key, which the next one uses. The network is up only while
 * this runs.
 *
 * The other side: join-protocol.ts.
 */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Ask as AskMessage, Refusal, Reply as ReplyMessage } from '../../protocols/join/join.js';
import { ClusterError } from '../core/fault.js';
import { bytesOf, type HostId, type PeerName } from '../core/ids.js';
import type { Net } from '../net/net.js';
import { startNet } from '../net/start-net.js';
import { limited } from '../net/wire-codec.js';
import { signerFromSeed } from '../platform/ed25519.js';
import { type Admission, admissionFlaw, type Joiner, NONCE_BYTES, proofMessage, readAdmission } from './admission.js';
import { checkName } from './check-name.js';
import { ANSWER_BYTES_MAX, VERSIONS_PER_ANSWER_MAX } from './config-protocol.js';
import { ConfigStore } from './config-store.js';
import { type Configuration, MEMBER_ADDRESSES_MAX, MEMBERS_MAX, type Trust } from './configuration.js';
import { badFrame, type FramedStream, framed, within } from './framed-stream.js';
import { type Identity, loadOrCreateIdentity } from './identity.js';
import { type Door, parseToken, type Token } from './invite.js';
import { JOIN_MS_MAX, JOIN_PROTOCOL } from './join-protocol.js';
import { openAdmissions } from './membership.js';
import { inNewState } from './new-state.js';
import { isAddress } from './policy-schema.js';
import { writeRememberedPeers } from './remembered-peers.js';
import { hostNameFrom, settleAdmissions } from './roster.js';

/** How long it looks for members. mDNS asks every 10 s, and a host that wakes up needs some more. */
const FIND_MS_MAX = 30_000;
const FRAME_BYTES_MAX = ANSWER_BYTES_MAX + 64 * 1024;
/** How long it waits before it tries the doors again that did not answer. */
const RETRY_MS = 1000;

const LIMITED_REPLY = limited(ReplyMessage, { chain: { versions: VERSIONS_PER_ANSWER_MAX } });

export interface JoinOptions {
  readonly token: string;
  readonly stateDir: string;
  /** Default: this machine's name, made valid. If it is taken, it gets `-2`. */
  readonly hostName?: string;
  /** Where this host will listen, for the others to remember. Default: they find out by themselves. */
  readonly addresses?: readonly string[];
  /** Look for the members by mDNS too. Default true. */
  readonly mdns?: boolean;
  /** How long it looks for members. Default 30 s. */
  readonly findMs?: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

export interface Joined {
  readonly configuration: Configuration;
  readonly host: HostId;
  /** This host's present name. A provisional member may get another one when an admin writes it down. */
  readonly name: string;
  /** The name that it asked for: another one than `name` where that was taken. */
  readonly wantedName: string;
  readonly standing: 'active' | 'provisional';
  readonly trust: Trust;
  /** The name of the member that let this host in. */
  readonly admittedBy: string;
}

/**
 * @throws ClusterError TOKEN_DAMAGED, TOKEN_TOO_NEW, TOKEN_EXPIRED, TOKEN_USED_UP, TOKEN_CLOSED, TOKEN_UNKNOWN, TOKEN_OTHER_CLUSTER,
 * TOKEN_REFUSED, JOIN_UNREACHABLE, NOT_ADMITTING, ALREADY_MEMBER, ALREADY_IN_CLUSTER, KEY_REVOKED, CLUSTER_FULL, BAD_NAME,
 * BAD_ADDRESS, BAD_CHAIN; StateLocked
 */
export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const { stateDir, clock, addresses = [], hostName = hostNameFrom(hostname()) } = options;
  const token = parseToken(options.token);
  checkName('host name', hostName);
  checkAddresses(addresses);
  // The members will check that again by their clocks; this saves waiting for an answer that is known.
  if (token.invite.expiresMs <= clock()) throw expired(token);
  return await inNewState(stateDir, () => join({ token, hostName, addresses, options }));
}

async function join({
  token,
  hostName,
  addresses,
  options,
}: Pick<Task, 'options' | 'token'> & {
  readonly hostName: string;
  readonly addresses: readonly string[];
}): Promise<Joined> {
  const { stateDir, log } = options;
  const identity = await loadOrCreateIdentity(stateDir);
  const doors = new Set(token.doors.map(({ peer }) => peer));
  const net = await startNet({
    privateKeySeed: identity.seed,
    boot: 0, // it gossips nothing
    listen: [],
    mdns: options.mdns ?? true,
    cluster: token.invite.cluster,
    gate: { isMember: peer => doors.has(peer), strangersWelcome: () => false },
    log,
    knownAddresses: () => token.doors,
    redialEveryMs: RETRY_MS,
  });
  try {
    const joiner = { peer: identity.peer, host: identity.host, wantedName: hostName, addresses };
    return await findAndJoin(net, { token, identity, joiner, options });
  } finally {
    await net.stop();
  }
}

interface Task {
  readonly token: Token;
  readonly identity: Identity;
  readonly joiner: Joiner;
  readonly options: JoinOptions;
}

/**
 * Tries every door until one lets this host in, or until all that answered have refused for a reason that holds for all
 * members.
 */
async function findAndJoin(net: Net, task: Task): Promise<Joined> {
  const { token, options } = task;
  const untilMs = performance.now() + (options.findMs ?? FIND_MS_MAX);
  let lastError: unknown;
  for (;;) {
    for (const door of token.doors) {
      options.signal?.throwIfAborted();
      try {
        return await joinAt(net, door, task);
      } catch (error) {
        if (!isWorthAnotherDoor(error)) throw error;
        lastError = error;
        options.log.debug({ err: error, peer: door.peer }, 'not let in here');
      }
    }
    if (performance.now() >= untilMs) break;
    await rest(Math.min(RETRY_MS, Math.max(0, untilMs - performance.now())), options.signal);
  }
  if (lastError instanceof ClusterError && lastError.code === 'NOT_ADMITTING') throw lastError;
  const tried = token.doors.flatMap(({ addresses }) => addresses).join(', ') || 'no address, only mDNS';
  throw new ClusterError(
    'JOIN_UNREACHABLE',
    `no member of the cluster let this machine in (tried: ${tried}); nothing was changed. Check that one of them is up, that this machine reaches it, and that the token is not older than the cluster's clock allows; then join again`,
    { blame: 'passing', cause: lastError },
  );
}

/** True when another member may be reachable, or may know what this one does not. */
function isWorthAnotherDoor(error: unknown): boolean {
  return (
    error instanceof ClusterError &&
    ['PEER_UNREACHABLE', 'STREAM_BROKEN', 'BAD_FRAME', 'NOT_ADMITTING', 'BAD_CHAIN'].includes(error.code)
  );
}

async function joinAt(net: Net, { peer }: Door, task: Task): Promise<Joined> {
  const { options } = task;
  using limit = within(JOIN_MS_MAX, options.signal);
  const { signal } = limit;
  const door = task.token.doors.find(other => other.peer === peer);
  const stream = await openAt(net, peer, door?.addresses ?? [], signal);
  try {
    const frames = framed(stream, { bytesMax: FRAME_BYTES_MAX, signal });
    const admission = await prove(frames, peer, task);
    const store = await ConfigStore.begin(options.stateDir, task.token.invite.cluster);
    await fetchChain(frames, store, { host: task.identity.host, trust: admission.invite.trust });
    await stream.close({ signal });
    return await settleIn(store, admission, task);
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Over the existing connection, or else at each address in turn. */
async function openAt(net: Net, peer: PeerName, addresses: readonly string[], signal: AbortSignal) {
  for (const address of addresses) {
    const whole = address.includes('/p2p/') ? address : `${address}/p2p/${peer}`;
    if (!whole.endsWith(`/p2p/${peer}`)) continue;
    try {
      await net.dial(whole, { signal });
      break;
    } catch (error) {
      if (!(error instanceof ClusterError) || error.code !== 'PEER_UNREACHABLE') throw error;
      // The next address may work; if none does, `open` reports it.
    }
  }
  return await net.open(peer, JOIN_PROTOCOL, { signal });
}

/** Knock, challenge, proof. @throws ClusterError for every refusal */
async function prove(frames: FramedStream, admitter: PeerName, { token, joiner }: Task): Promise<Admission> {
  const { invite, seed } = token;
  await frames.write(AskMessage, { knock: { invite: invite.raw } });
  const challenge = await frames.read(ReplyMessage);
  if (challenge.refused !== undefined) throw refusal(challenge.refused.code, token);
  const nonce = challenge.challenge?.nonce;
  if (nonce?.length !== NONCE_BYTES) throw badFrame('no challenge where one was expected');

  const meeting = { cluster: invite.cluster, inviteId: invite.id, admitter, nonce };
  const proof = signerFromSeed(seed).sign(proofMessage(joiner, meeting));
  const { host, wantedName, addresses } = joiner;
  await frames.write(AskMessage, {
    proof: { host: bytesOf(host), name: wantedName, addresses: [...addresses], proof },
  });
  const reply = await frames.read(ReplyMessage);
  if (reply.refused !== undefined) throw refusal(reply.refused.code, token);
  if (reply.admitted === undefined) throw badFrame('no verdict where one was expected');
  const admission = readAdmission(reply.admitted.admission);
  if (admission.host !== joiner.host || admission.peer !== joiner.peer || admission.invite.id !== invite.id) {
    throw badFrame('the admission of another host');
  }
  return admission;
}

async function fetchChain(
  frames: FramedStream,
  store: ConfigStore,
  reader: { readonly host: HostId; readonly trust: Trust },
): Promise<void> {
  let after = 0;
  for (let isMore = true; isMore; ) {
    await frames.write(AskMessage, { more: { after } });
    const { chain } = await frames.read(LIMITED_REPLY);
    if (chain === undefined) throw badFrame('no chain where one was expected');
    for (const raw of chain.versions) {
      const acceptance = await store.accept(raw, reader);
      if (acceptance.kind !== 'accepted') {
        const why = acceptance.kind === 'refused' ? acceptance.because : acceptance.kind;
        throw new ClusterError(
          'BAD_CHAIN',
          `a member sent a configuration that does not follow from the token (version ${after + 1}: ${why}); nothing was changed`,
          {
            blame: 'peer',
          },
        );
      }
      after++;
    }
    isMore = chain.more && chain.versions.length > 0;
  }
  if (after === 0) throw badFrame('an empty chain');
}

/** The last step: from here on this state folder belongs to the cluster. */
async function settleIn(store: ConfigStore, admission: Admission, { token, identity, options }: Task): Promise<Joined> {
  const { stateDir, log } = options;
  const { current: configuration } = store;
  const written = configuration.members.find(({ host }) => host === identity.host);
  if (written === undefined && admissionFlaw(admission, configuration) !== undefined) {
    throw new ClusterError(
      'BAD_CHAIN',
      'the host that let this machine in is no member of the cluster that the token is for; nothing was changed',
      {
        blame: 'peer',
      },
    );
  }
  const notes = await openAdmissions(stateDir, log);
  await notes.add(admission);
  await writeRememberedPeers(stateDir, token.doors);
  await store.commit();
  const provisional = settleAdmissions(configuration, [admission]).provisional[0];
  return {
    configuration,
    host: identity.host,
    name: written?.name ?? provisional?.name ?? admission.wantedName,
    wantedName: admission.wantedName,
    standing: written === undefined ? 'provisional' : 'active',
    trust: written?.trust ?? admission.invite.trust,
    admittedBy: configuration.members.find(({ peer }) => peer === admission.admitter)?.name ?? admission.admitter,
  };
}

function expired({ invite }: Token): ClusterError {
  const when = new Date(invite.expiresMs).toISOString();
  return new ClusterError(
    'TOKEN_EXPIRED',
    `this token expired at ${when}; nothing was changed. Make a new one with \`cluster invite\` (and check this machine's clock)`,
    {
      blame: 'operator',
    },
  );
}

/** The error for a refusal from the wire, which tells the operator what to do. */
function refusal(code: Refusal, token: Token): ClusterError {
  const because = (name: string, text: string): ClusterError =>
    new ClusterError(name, `${text}; nothing was changed`, { blame: 'operator' });
  switch (code) {
    case Refusal.EXPIRED:
      return expired(token);
    case Refusal.USED_UP:
      return because(
        'TOKEN_USED_UP',
        `this token was valid for ${token.invite.uses} and is used up. Make a new one with \`cluster invite\``,
      );
    case Refusal.CLOSED:
      return because(
        'TOKEN_CLOSED',
        'this token is no longer valid, because a host that joined by it was revoked. Make a new one with `cluster invite`',
      );
    case Refusal.UNKNOWN_INVITE:
      return because(
        'TOKEN_UNKNOWN',
        'the host that made this token is no longer an admin. Make a new one with `cluster invite` on an admin host',
      );
    case Refusal.OTHER_CLUSTER:
      return because(
        'TOKEN_OTHER_CLUSTER',
        'this token is not for the cluster of the hosts that it names. Make a new one with `cluster invite` in the cluster you want',
      );
    case Refusal.BAD_PROOF:
      return because(
        'TOKEN_REFUSED',
        'the member did not accept the proof of this token. Make a new one with `cluster invite`',
      );
    case Refusal.ALREADY_MEMBER:
      return because(
        'ALREADY_MEMBER',
        'the cluster has this machine as a member already, but its state folder has no configuration. Copy STATE/config from another trusted member',
      );
    case Refusal.REVOKED:
      return because(
        'KEY_REVOKED',
        "this machine's key was revoked in that cluster. Join with a new state folder, for a new key",
      );
    case Refusal.FULL:
      return because(
        'CLUSTER_FULL',
        `the cluster has as many members as it can have (${MEMBERS_MAX}); revoked members keep their places because of what they backed up. Found another cluster for this machine`,
      );
    case Refusal.NOT_ADMITTING:
      return new ClusterError(
        'NOT_ADMITTING',
        'the member that answered may not admit other hosts yet; nothing was changed. Join again when another member is up',
        {
          blame: 'passing',
        },
      );
  }
}

/** @throws ClusterError BAD_ADDRESS */
function checkAddresses(addresses: readonly string[]): void {
  const wrong = addresses.find(address => !isAddress(address));
  if (wrong !== undefined || addresses.length > MEMBER_ADDRESSES_MAX) {
    const what = wrong === undefined ? `${addresses.length} addresses` : JSON.stringify(wrong.slice(0, 200));
    throw new ClusterError(
      'BAD_ADDRESS',
      `${what}: expected at most ${MEMBER_ADDRESSES_MAX} multiaddrs; nothing was changed`,
      { blame: 'operator' },
    );
  }
}

/** A pause between rounds of contacting members; ends early when cancelled. */
async function rest(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
