/**
 * Heads: checks that the heads and configurations a host has acted on never go back, and that expiry takes only what
 * nothing keeps (I7).
 */
import type { Effect, Input } from '../../src/core/effects.js';
import { type ObjectId, type ParcelId, type SourceId, splitSourceId } from '../../src/core/ids.js';
import { goesBefore } from '../config-chain.js';
import type { Happening } from '../happening.js';
import type { SignedConfig } from '../host-disk.js';
import type { Running, SimHost } from '../sim-host.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

/** What the checker remembers of a host's life, and the machine may forget only together with its disk. */
interface Remembered {
  config: SignedConfig | undefined;
  readonly headSeq: Map<SourceId, number>;
  /** Heads that were only named in gossip; forgotten when the service stops. */
  readonly hintedSeq: Map<SourceId, number>;
  /** Its running time over all starts, when its service last stopped. */
  ranMs: number;
  /** When each snapshot was first seen listed, in the host's running time. */
  readonly seenRunMs: Map<ObjectId, { readonly atRunMs: number; readonly source: SourceId }>;
  readonly unwantedSinceRunMs: Map<ParcelId, number>;
}

export class HeadChecker implements Checker {
  readonly #world: World;
  readonly #hosts = new Map<SimHost, Remembered>();

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    switch (happening.is) {
      case 'told':
        this.#told(happening.by, happening.input);
        return;
      case 'effect':
        if (happening.effect.do === 'expire') this.#expires(happening.by, happening.effect);
        return;
      case 'started':
        this.#startedAgain(happening.by);
        return;
      case 'stopped':
        this.#of(happening.by.host).hintedSeq.clear();
        this.#of(happening.by.host).ranMs = happening.by.runMs;
        return;
      case 'disk-replaced':
        this.#replaced(happening.host);
        return;
      case 'stepped':
      case 'durable':
      case 'read':
      case 'serves':
      case 'taking-in':
      case 'received':
      case 'injected-loss':
        return;
      default:
        happening satisfies never;
    }
  }

  #of(host: SimHost): Remembered {
    const known = this.#hosts.get(host);
    if (known !== undefined) return known;
    const made: Remembered = {
      config: undefined,
      headSeq: new Map(),
      hintedSeq: new Map(),
      ranMs: 0,
      seenRunMs: new Map(),
      unwantedSinceRunMs: new Map(),
    };
    this.#hosts.set(host, made);
    return made;
  }

  /**
   * From now on the disk's present contents bind the host. If running time was forgotten, what was seen in that time
   * counts as seen before it.
   */
  #replaced(host: SimHost): void {
    this.#hosts.delete(host);
    const { seenRunMs, unwantedSinceRunMs } = this.#of(host);
    const { kept, unwanted, ranMs } = host.disk;
    for (const [source, snapshots] of kept)
      for (const { id, seenRunMs: atRunMs } of snapshots)
        seenRunMs.set(id, { atRunMs: Math.min(atRunMs, ranMs), source });
    for (const [parcel, sinceRunMs] of unwanted) unwantedSinceRunMs.set(parcel, Math.min(sinceRunMs, ranMs));
  }

  /**
   * Running time that was not written down has passed all the same: what was seen before is older than the host knows.
   */
  #startedAgain({ host, runMs }: Running): void {
    const { seenRunMs, unwantedSinceRunMs, ranMs } = this.#of(host);
    const forgottenMs = Math.max(0, ranMs - runMs);
    for (const [id, { atRunMs, source }] of seenRunMs) seenRunMs.set(id, { atRunMs: atRunMs - forgottenMs, source });
    for (const [parcel, sinceRunMs] of unwantedSinceRunMs) unwantedSinceRunMs.set(parcel, sinceRunMs - forgottenMs);
  }

  // ------------------------------------------------------------------------------------------------------------------ I7

  #told(by: Running, input: Input): void {
    const remembered = this.#of(by.host);
    if (input.is === 'config') {
      const { config } = by.host.disk;
      if (remembered.config !== undefined && goesBefore(remembered.config, config))
        throw new Violation('I7', `h${by.host.number} goes back to configuration ${config.version}`);
      remembered.config = config;
    } else if (input.is === 'heard' && input.message.kind === 'heads') {
      // While two machines have one identity, nothing counts that either says (core/duplicate.ts).
      if (by.machine.known.host(input.from)?.isSetAside === true) return;
      for (const { source, seq } of input.message.heads)
        remembered.hintedSeq.set(source, Math.max(seq, remembered.hintedSeq.get(source) ?? 0));
    } else if (input.is === 'wanted') this.#wanted(by, input);
  }

  #wanted(by: Running, { source, head, add, remove }: Extract<Input, { is: 'wanted' }>): void {
    const { headSeq, seenRunMs, unwantedSinceRunMs } = this.#of(by.host);
    const before = headSeq.get(source) ?? 0;
    if (head.seq < before) {
      throw new Violation('I7', `h${by.host.number} goes back to head ${head.seq} of ${source} after ${before}`);
    }
    headSeq.set(source, head.seq);
    const model = this.#world.catalog.heads(source).find(({ hash }) => hash === head.hash);
    for (const { id } of model?.snapshots ?? [])
      if (!seenRunMs.has(id)) seenRunMs.set(id, { atRunMs: by.runMs, source });
    for (const parcel of remove) unwantedSinceRunMs.set(parcel, by.runMs);
    for (const { id } of add) if (unwantedSinceRunMs.delete(id)) this.#world.counts.wantedAgain += 1;
  }

  #expires(by: Running, { warrant }: Extract<Effect, { do: 'expire' }>): void {
    const { parcel } = warrant;
    const what = `h${by.host.number} expires ${parcel.slice(0, 8)}`;
    const source = this.#world.catalog.parcel(parcel)?.source;
    if (source === undefined || source !== warrant.source)
      throw new Violation('I7', `${what} by a head of another source`);
    const { headSeq, hintedSeq, seenRunMs, unwantedSinceRunMs } = this.#of(by.host);
    const seq = headSeq.get(source) ?? 0;
    // After an origin was revoked, its hints may never be backed by a head that anybody can get: of it only what
    // members durably hold counts.
    const { origin } = splitSourceId(source);
    const isOfMember = by.host.disk.config.members.some(({ host, state }) => host === origin && state !== 'revoked');
    const hinted = isOfMember ? (hintedSeq.get(source) ?? 0) : 0;
    if (hinted > seq || warrant.headSeq < seq)
      throw new Violation('I7', `${what} by head ${warrant.headSeq}, and it has heard of ${hinted}`);
    const head = by.host.disk.heads.get(source);
    for (const snapshot of head?.snapshots ?? []) {
      if (snapshot.refs.has(parcel)) throw new Violation('I7', `${what}, which head ${head?.seq} lists`);
    }
    for (const listed of this.#world.catalog.heads(source)) {
      for (const { id, holdMs, refs } of listed.snapshots) {
        const seen = seenRunMs.get(id);
        if (seen !== undefined && refs.has(parcel) && by.runMs + 1 < seen.atRunMs + holdMs)
          throw new Violation('I7', `${what}, which a snapshot holds for ${seen.atRunMs + holdMs - by.runMs} ms more`);
      }
    }
    const sinceRunMs = unwantedSinceRunMs.get(parcel);
    const { gcGraceMs } = by.host.disk.config.timing;
    if (sinceRunMs !== undefined && by.runMs + 1 < sinceRunMs + gcGraceMs)
      throw new Violation('I7', `${what}, unwanted for ${by.runMs - sinceRunMs} ms only`);
  }

  /** Checks the heads and configuration that the host has acted on. */
  #hasNotGoneBack(host: SimHost): void {
    const { disk, number, running } = host;
    const { config, headSeq } = this.#of(host);
    if (config !== undefined && goesBefore(config, disk.config))
      throw new Violation('I7', `h${number} has gone back to configuration ${disk.config.version}`);
    for (const [source, seq] of headSeq) {
      const durableSeq = disk.heads.get(source)?.seq ?? 0;
      const knownSeq = running?.machine.known.head(source)?.seq ?? durableSeq;
      if (durableSeq < seq || knownSeq < seq)
        throw new Violation('I7', `h${number} has gone back to head ${durableSeq} of ${source} after ${seq}`);
    }
  }

  /** Checks that nothing that the host's newest head lists is on its way out. */
  #wantsWhatIsListed({ disk, number }: SimHost): void {
    for (const [source, { seq, snapshots }] of disk.heads) {
      for (const { refs } of snapshots) {
        for (const parcel of refs.keys()) {
          if (disk.unwanted.has(parcel) && !disk.notNoted.has(parcel))
            throw new Violation(
              'I7',
              `h${number} takes ${parcel.slice(0, 8)} for unwanted, which head ${seq} of ${source} lists`,
            );
        }
      }
    }
  }

  full(): void {
    for (const host of this.#world.hosts) {
      if (host.lost) continue;
      this.#hasNotGoneBack(host);
      this.#wantsWhatIsListed(host);
    }
  }
}
