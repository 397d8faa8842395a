/**
 * Log contents: what a store's log says at any of its positions: hosts have read it to different ones.
 *
 * It follows the log as that grows, so that each operation is looked at once.
 */
import type { LogOp } from '../src/core/holdings-log.js';
import type { ParcelId, SourceId } from '../src/core/ids.js';

/** What holds from the operation numbered `fromSeq` on, until a later one says otherwise. */
interface From<What> {
  readonly fromSeq: number;
  readonly what: What;
}

export class LogContents {
  readonly #log: { readonly ops: readonly LogOp[] };
  readonly #held = new Map<ParcelId, From<boolean>[]>();
  readonly #heads = new Map<SourceId, From<number>[]>();
  #followedSeq = 0;

  constructor(log: { readonly ops: readonly LogOp[] }) {
    this.#log = log;
  }

  /** The store has the parcel, as the first `seq` operations say. */
  holds(parcel: ParcelId, seq: number): boolean {
    this.#follow();
    return at(this.#held.get(parcel), seq) ?? false;
  }

  /** The highest head of the source that the store holds durably, as they say; 0 for none. */
  headSeq(source: SourceId, seq: number): number {
    this.#follow();
    return at(this.#heads.get(source), seq) ?? 0;
  }

  #follow(): void {
    const { ops } = this.#log;
    for (; this.#followedSeq < ops.length; this.#followedSeq += 1) {
      const op = ops[this.#followedSeq] as LogOp;
      const fromSeq = this.#followedSeq + 1;
      if (op.op !== 'head') put(this.#held, op.parcel, { fromSeq, what: op.op === 'add' });
      else {
        const before = this.#heads.get(op.source)?.at(-1)?.what ?? 0;
        put(this.#heads, op.source, { fromSeq, what: Math.max(before, op.seq) });
      }
    }
  }
}

const at = <What>(said: readonly From<What>[] | undefined, seq: number): What | undefined =>
  said?.findLast(({ fromSeq }) => fromSeq <= seq)?.what;

function put<Of, What>(map: Map<Of, From<What>[]>, of: Of, from: From<What>): void {
  const said = map.get(of);
  if (said === undefined) map.set(of, [from]);
  else said.push(from);
}
