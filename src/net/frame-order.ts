/**
 * Frame order: is this frame newer than all that its writer has said before?
 *
 * Each start of a host raises its boot counter and each frame its frame counter, so (boot, frame) rises strictly and
 * whatever does not rise is a replay, a late duplicate, or a second machine with the same identity. A frame that a
 * faster one has overtaken is dropped too: gossip is hints, and what it hinted at is asked for over streams.
 */
import type { PeerName } from '../core/ids.js';

export interface LastFrame {
  readonly boot: number;
  readonly frame: number;
}

/** Where the last frames are kept over a restart. `save` is called at every frame: keep it cheap, write behind. */
export interface FrameMemory {
  load(): Iterable<readonly [PeerName, LastFrame]>;
  save(writer: PeerName, last: LastFrame): void;
}

/** `older-boot`: from before the writer's last start, so a replay, an old image of its disk, or its duplicate. */
export type FrameVerdict = 'newer' | 'not-newer' | 'older-boot';

export class FrameOrder {
  readonly #last: Map<PeerName, LastFrame>;
  readonly #memory: FrameMemory | undefined;

  constructor(memory: FrameMemory | undefined) {
    this.#memory = memory;
    this.#last = new Map(memory?.load());
  }

  /** The last frame of a writer that counted. */
  last(writer: PeerName): LastFrame | undefined {
    return this.#last.get(writer);
  }

  /** Judges a frame whose author is known, and remembers it if it is newer. */
  admit(writer: PeerName, { boot, frame }: LastFrame): FrameVerdict {
    const last = this.#last.get(writer);
    if (last !== undefined && boot < last.boot) return 'older-boot';
    if (last !== undefined && boot === last.boot && frame <= last.frame) return 'not-newer';
    this.#last.set(writer, { boot, frame });
    this.#memory?.save(writer, { boot, frame });
    return 'newer';
  }
}
