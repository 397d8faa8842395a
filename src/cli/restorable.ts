/**
 * Restorable: what a restore was asked for, and what gives it: the service, or bare stores.
 */
import type { RestoreRequest } from '../catalog/restore-tree.js';
import type { ObjectId, SourceId } from '../core/ids.js';

export interface Restorable extends Pick<RestoreRequest, 'entries' | 'content'> {
  /** As people name it. */
  readonly source: string;
  readonly sourceId: SourceId;
  /** `partial`: something could not be read when it was taken; `stale` and `missed` are the counts of all of it. */
  readonly snapshot: {
    readonly id: ObjectId;
    readonly timeMs: number;
    readonly partial: boolean;
    readonly stale: number;
    readonly missed: number;
  };
  readonly under: Buffer;
  /** For the progress only. */
  readonly total: { readonly files: number; readonly bytes: number };
  /** A sentence, printed when something that failed may still be restored. */
  readonly advice: string;
  /** A dry run found that not everything can be restored now. */
  readonly isShort: boolean;
}
