/**
 * Room watch: tells a person when copies cannot be made because no host has room for them: waiting does not help then.
 *
 * While copies are made, room is reserved and given back, so what seems to lack room at one look may have it at the
 * next. So the alarm is raised for what was found at each look for as long as a move that makes room may take to begin
 * (`relocate`), and is over when nothing was found for as long.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import prettyBytes from 'pretty-bytes';
import type { SourceId } from '../core/ids.js';
import type { RoomWanted } from '../core/room-wanted.js';
import type { Alarms } from './alarms.js';

/** How often to look, in ms … */
const LOOK_EVERY_MS = 5_000;
/** … and after this many times as long as a look took: with a million parcels that are short it takes seconds. */
const LOOK_RESTS = 20;
/** A look gives everybody else a turn after this long, in ms: less than anybody notices. */
const TURN_MS = 10;
/** How often the numbers of one that stands are brought up to date, in ms: each change is a line in the log. */
const NUMBERS_EVERY_MS = 60_000;

export interface RoomWatchOptions {
  /** A look, in turns. */
  readonly roomWanted: () => Iterator<void, ReadonlyMap<SourceId, RoomWanted>>;
  readonly nameOf: (source: SourceId) => string;
  /** `relocate` of the policy's timing. */
  readonly patienceMs: () => number;
  readonly nowMs: () => number;
  readonly alarms: Pick<Alarms, 'raise' | 'clear'>;
}

interface Watched {
  /** Found at each look since; undefined when the last look found nothing. */
  foundSinceMs: number | undefined;
  lastFoundMs: number;
  isTold: boolean;
  toldMs: number;
}

const NEVER_TOLD = { isTold: false, toldMs: Number.NEGATIVE_INFINITY };

export class RoomWatch {
  readonly #options: RoomWatchOptions;
  readonly #watched = new Map<SourceId, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: RoomWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#next(LOOK_EVERY_MS);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** @returns for how long it kept everybody else from a turn, all together, in ms */
  async look(): Promise<number> {
    const { roomWanted, nowMs } = this.#options;
    const turns = roomWanted();
    let tookMs = 0;
    for (;;) {
      const begunMs = nowMs();
      let turn = turns.next();
      while (turn.done !== true && nowMs() - begunMs < TURN_MS) turn = turns.next();
      tookMs += nowMs() - begunMs;
      if (turn.done === true) {
        this.#tell(turn.value);
        return tookMs;
      }
      await breathe();
      if (this.#isStopped) return tookMs;
    }
  }

  #tell(found: ReadonlyMap<SourceId, RoomWanted>): void {
    const { nameOf, patienceMs, nowMs, alarms } = this.#options;
    const now = nowMs();
    for (const [source, room] of found) {
      const watched = this.#watched.get(source) ?? { ...NEVER_TOLD, foundSinceMs: now, lastFoundMs: now };
      watched.foundSinceMs ??= now;
      watched.lastFoundMs = now;
      this.#watched.set(source, watched);
      watched.isTold ||= now - watched.foundSinceMs >= patienceMs();
      if (!watched.isTold || now - watched.toldMs < NUMBERS_EVERY_MS) continue;
      watched.toldMs = now;
      alarms.raise('TOO_LITTLE_ROOM', source, textOf(nameOf(source), room));
    }
    for (const [source, watched] of this.#watched) {
      if (found.has(source)) continue;
      watched.foundSinceMs = undefined;
      if (watched.isTold && now - watched.lastFoundMs < patienceMs()) continue;
      this.#watched.delete(source);
      alarms.clear('TOO_LITTLE_ROOM', source);
    }
  }

  #next(inMs: number): void {
    this.#timer = setTimeout(() => void this.#lookAndGoOn(), inMs).unref();
  }

  async #lookAndGoOn(): Promise<void> {
    const tookMs = await this.look();
    if (!this.#isStopped) this.#next(Math.max(LOOK_EVERY_MS, LOOK_RESTS * tookMs));
  }
}

function textOf(name: string, { parcels, bytes, largestBytes, freeBytes }: RoomWanted): string {
  const [what, largest, them] =
    parcels === 1 ? ['1 parcel has', 'it', 'it'] : [`${parcels} parcels have`, 'the largest', 'them'];
  return `source ${name}: ${what} too few copies, and no host that could take ${them} has room (${prettyBytes(bytes)} in all): ${largest} needs ${prettyBytes(largestBytes)} in one store, and the most that is free in one is ${prettyBytes(freeBytes)}. The copies that exist are kept. Let a store lend more (\`limit\`, \`reserve\`), add a store on another host, or take fewer \`copies\`: the rest is then copied by itself`;
}
