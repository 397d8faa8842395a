/**
 * The `config` protocol: how members bring each other's configurations, admissions and invites up to date.
 *
 * The asker says what it has, and the other member answers with what the asker lacks; signatures alone decide what is
 * believed. An ask that shows the answering member something new makes it ask back, so a member with news simply asks.
 * Such an ask is marked as made in return, and is never returned itself. Wire: protocols/config/config.md.
 */
import { Answer as AnswerMessage, type Ask, Ask as AskMessage } from '../../protocols/config/config.js';
import type { ConfigMark } from '../core/cluster-config.js';
import { bytesOf, hexOf, type PeerName } from '../core/ids.js';
import type { Net } from '../net/net.js';
import { limited } from '../net/wire-codec.js';
import { MARKS_MAX } from './config-store.js';
import { VERSION_BYTES_MAX, versionFor } from './configuration.js';
import { ADMISSIONS_MAX } from './decide-admission.js';
import { badFrame, framed, within } from './framed-stream.js';
import type { Membership } from './membership.js';
import { INVITES_MAX } from './open-invites.js';
import { HASH_BYTES, ID_BYTES } from './peer-key.js';

export const CONFIG_PROTOCOL = '/scatterhoard/config/1';
/** Versions in one answer, besides the limit in bytes. */
export const VERSIONS_PER_ANSWER_MAX = 64;
/** All versions, or all admissions and invites, of one answer together; a single version may be as long. */
export const ANSWER_BYTES_MAX = VERSION_BYTES_MAX;
/** Added for protobuf's own bytes. */
const FRAME_SLACK_BYTES = 64 * 1024;
/** 2000 hashes, 256 ids and 64 marks. */
const ASK_BYTES_MAX = 128 * 1024;
/** One ask and its answer, on the slowest link that is supported: 1 MiB at 1 Mbit/s is 8 s. */
const EXCHANGE_MS_MAX = 30_000;
/** Asks in one run. With 64 versions each, far above any real chain; a peer that never ends is cut off. */
const ROUNDS_MAX = 4096;

const LIMITED_ASK = limited(AskMessage, { have: MARKS_MAX, admissions: ADMISSIONS_MAX, invites: INVITES_MAX });
const LIMITED_ANSWER = limited(AnswerMessage, {
  versions: VERSIONS_PER_ANSWER_MAX,
  admissions: ADMISSIONS_MAX,
  invites: INVITES_MAX,
});

/**
 * Answers members. Untrusted ones get the members and their own section, and no invites.
 *
 * @param onNews the asker has something that this host lacks: ask it, `answering`.
 */
export async function serveConfig(net: Net, membership: Membership, onNews: (from: PeerName) => void): Promise<void> {
  await net.handle(CONFIG_PROTOCOL, async (stream, from, signal) => {
    using limit = within(EXCHANGE_MS_MAX, signal);
    const frames = framed(stream, { bytesMax: ASK_BYTES_MAX, signal: limit.signal });
    const ask = askFrom(await frames.read(LIMITED_ASK));
    const reader = membership.readerOf(from);
    if (reader === undefined) throw badFrame('an ask without being a member of the cluster');

    const versions = await membership.versionsAfter(ask.have, {
      countMax: VERSIONS_PER_ANSWER_MAX,
      bytesMax: ANSWER_BYTES_MAX,
    });
    const answer = {
      versions: versions.map(version => versionFor(version, reader)),
      admissions: [] as Uint8Array[],
      invites: [] as Uint8Array[],
      more: (versions.at(-1)?.version ?? membership.configuration.version) < membership.configuration.version,
    };
    // The asker judges these by the newest configuration, so they are sent once it has that.
    let leftBytes = ANSWER_BYTES_MAX - answer.versions.reduce((sum, raw) => sum + raw.length, 0);
    const give = (list: Uint8Array[], raw: Uint8Array): void => {
      leftBytes -= raw.length;
      if (leftBytes < 0) answer.more = true;
      else list.push(raw);
    };
    if (!answer.more) {
      for (const { hash, raw } of membership.unwritten()) if (!ask.admissions.has(hash)) give(answer.admissions, raw);
      if (reader.trust === 'trusted') {
        for (const { id, raw } of membership.openInvites()) if (!ask.invites.has(id)) give(answer.invites, raw);
      }
    }
    await frames.write(AnswerMessage, answer);

    const newest = ask.have[0];
    const isNews =
      (newest !== undefined && !membership.hasVersion(newest)) ||
      [...ask.admissions].some(hash => !membership.hasAdmission(hash)) ||
      [...ask.invites].some(id => !membership.hasInvite(id));
    if (isNews && !ask.answering) onNews(from);
  });
}

/**
 * Asks a member until it has nothing more that this host lacks or can use. `answering`: this ask returns one of that
 * member's.
 *
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN (passing), BAD_FRAME (peer)
 */
export async function askConfig(
  net: Net,
  peer: PeerName,
  membership: Membership,
  { answering = false, signal }: { readonly answering?: boolean; readonly signal?: AbortSignal } = {},
): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    using limit = within(EXCHANGE_MS_MAX, signal);
    const { signal: until } = limit;
    const stream = await net.open(peer, CONFIG_PROTOCOL, { signal: until });
    let isAhead = false;
    try {
      const frames = framed(stream, { bytesMax: ANSWER_BYTES_MAX + FRAME_SLACK_BYTES, signal: until });
      await frames.write(AskMessage, await askOf(membership, answering));
      const { versions, admissions, invites, more } = await frames.read(LIMITED_ANSWER);
      await stream.close({ signal: until });
      for (const raw of versions) {
        const acceptance = await membership.acceptVersion(raw);
        const { kind } = acceptance;
        // A member verifies what it takes in before it sends it on; the two other refusals are this host's own matter.
        if (kind === 'refused' && acceptance.because !== 'policy-unreadable' && acceptance.because !== 'withheld') {
          throw badFrame(`a configuration that is refused: ${acceptance.because}`);
        }
        if (kind === 'gap' || kind === 'refused') break; // the versions after it cannot be checked
        // A branch that has lost so far is kept: later versions may make it win.
        isAhead ||= kind === 'accepted' || kind === 'fork-won' || kind === 'fork-lost';
      }
      for (const raw of admissions) isAhead = (await membership.acceptAdmission(raw)) || isAhead;
      for (const raw of invites) isAhead = (await membership.acceptInvite(raw)) || isAhead;
      // The member may promise more for ever: go on only while its answers bring something new.
      if (!more || !isAhead) return;
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }
}

async function askOf(membership: Membership, answering: boolean): Promise<Ask> {
  return {
    have: (await membership.marks()).map(({ version, hash }) => ({ version, hash: bytesOf(hash) })),
    admissions: membership.unwritten().map(({ hash }) => bytesOf(hash)),
    invites: membership.self.trust === 'trusted' ? membership.openInvites().map(({ id }) => bytesOf(id)) : [],
    answering,
  };
}

/** @throws ClusterError BAD_FRAME */
function askFrom({ have, admissions, invites, answering }: Ask): {
  readonly have: readonly ConfigMark[];
  readonly admissions: ReadonlySet<string>;
  readonly invites: ReadonlySet<string>;
  readonly answering: boolean;
} {
  const isMark = ({ version, hash }: Ask['have'][number]): boolean =>
    Number.isSafeInteger(version) && version >= 1 && hash.length === HASH_BYTES;
  if (
    !have.every(isMark) ||
    admissions.some(hash => hash.length !== HASH_BYTES) ||
    invites.some(id => id.length !== ID_BYTES)
  ) {
    throw badFrame('an ask with a malformed entry');
  }
  return {
    have: have.map(({ version, hash }) => ({ version, hash: hexOf(hash) })),
    admissions: new Set(admissions.map(hexOf)),
    invites: new Set(invites.map(hexOf)),
    answering,
  };
}
