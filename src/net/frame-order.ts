/**
 * Frame order: does this frame count, given what its writer has said before (core/frame-window.ts)? The frames heard
 * of every writer are remembered; the highest one also over a restart.
 */
import { ALL_HEARD, type FrameNumber, type FramesHeard, type FrameVerdict, judgeFrame } from '../core/frame-window.js';
import type { PeerName } from '../core/ids.js';

/** Keeps the last frames over a restart. `save` is called at every frame: keep it cheap, write behind. */
export interface FrameMemory {
  load(): Iterable<readonly [PeerName, FrameNumber]>;
  save(writer: PeerName, last: FrameNumber): void;
}

export class FrameOrder {
  readonly #heard = new Map<PeerName, FramesHeard>();
  readonly #memory: FrameMemory | undefined;

  constructor(memory: FrameMemory | undefined) {
    this.#memory = memory;
    for (const [writer, last] of memory?.load() ?? []) this.#heard.set(writer, { last, earlier: ALL_HEARD });
  }

  /** The highest frame of a writer that has counted. */
  last(writer: PeerName): FrameNumber | undefined {
    return this.#heard.get(writer)?.last;
  }

  /** Judges a frame whose author is known, and remembers it if it counts. */
  admit(writer: PeerName, { boot, frame }: FrameNumber): FrameVerdict {
    const { verdict, heard } = judgeFrame(this.#heard.get(writer), { boot, frame });
    this.#heard.set(writer, heard);
    if (verdict === 'newer') this.#memory?.save(writer, heard.last);
    return verdict;
  }
}
