/**
 * Side: a tool as the bench sees it. Every tool goes through the same works on the same folders, one after the other, with
 * nothing else of ours running meanwhile.
 */
import type { Usage } from './meter.js';

/** The folders below the home: each is a source of ours, and a folder that rsync is given. */
export const BELOW = {
  mixed: 'both/mixed',
  small: 'both/small',
  both: 'both',
  large: 'large',
  film: 'film',
  album: 'album',
} as const;
export type Folder = keyof typeof BELOW;

export type ToolName = 'scatterhoard' | 'rsync' | 'rsync --fsync';

export interface Side {
  readonly tool: ToolName;
  /** Why it has no machines of its own; undefined when it has. */
  readonly onLoopbackBecause: string | undefined;
  /** Everything up and ready, with nothing copied. */
  start(): Promise<void>;
  /** A folder above others that are copied already: their content is known to be there, by whatever it takes. */
  know(folder: Folder): Promise<void>;
  /** Brings both replicas up to what the folder is now. */
  copy(folder: Folder): Promise<Usage>;
  /**
   * The same, but when so many bytes have been sent, one of the machines that receive is cut off in the midst of it, and
   * is back as soon as it can be.
   */
  copyInterrupted(folder: Folder, afterBytes: number): Promise<Usage>;
  /** With the waiting times that a user has who has set none. What prepares for that is in nobody's time. */
  asShipped(work: () => Promise<Usage>): Promise<Usage>;
  /** Onto a third machine that had nothing of it, from the replicas alone. */
  restore(folder: Folder): Promise<Usage>;
  addReplica(folder: Folder): Promise<Usage>;
  /** From here on four machines have room, of which any two may hold a folder, where the tool can choose. */
  widen(): Promise<void>;
  /** By another process than the tool's: every content lies in its replicas. @throws when it does not */
  verify(folders: readonly Folder[]): Promise<void>;
  /** Also in the middle of anything. */
  end(): Promise<void>;
}
