/**
 * Marker: the file that makes a folder a store; it says whose, and in which epoch the log is.
 *
 * A folder without it is not a store: its disk may not be mounted, and making another store there would fill the disk
 * below and count copies twice. So the marker is made once (create-store.ts), and after that only rewritten.
 */

import { messageOf } from '../core/fault.js';
import type { Epoch } from '../core/holdings-log.js';
import {
  type ClusterId,
  type HostId,
  MalformedId,
  parseClusterId,
  parseHostId,
  parseStoreId,
  type StoreId,
} from '../core/ids.js';
import { writeDurable } from '../platform/durable.js';
import { FILE_MODE, isBadSector, readRareOwnFile } from './own-folder.js';

export interface Marker {
  readonly cluster: ClusterId;
  readonly host: HostId;
  readonly store: StoreId;
  readonly epoch: Epoch;
  /** The service's boot counter when it last mounted this store. */
  readonly boot: number;
  /** A new log was begun: the copies here count again only after they have been hashed (`Store.rescan`). */
  readonly rescan: boolean;
}

export type ReadMarker =
  | { readonly kind: 'found'; readonly marker: Marker }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly because: string; readonly isOtherFormat?: true };

export const MARKER_NAME = '.scatterhoard';
/** The first line of defence against a later format that this program would misread. */
const FORMAT = 'scatterhoard store 1';
const MARKER_BYTES_MAX = 64 * 1024;

/** Thrown for a store that is in order but that this program would misread. */
class OtherFormat extends Error {}

export async function readMarker(storePath: string): Promise<ReadMarker> {
  let bytes: Buffer | undefined;
  try {
    bytes = await readRareOwnFile(`${storePath}/${MARKER_NAME}`, MARKER_BYTES_MAX);
  } catch (error) {
    if (isBadSector(error)) return { kind: 'unreadable', because: 'a sector of it cannot be read (EIO)' };
    throw error;
  }
  if (bytes === undefined) return { kind: 'absent' };
  let fields: unknown;
  try {
    fields = JSON.parse(bytes.toString());
  } catch {
    return { kind: 'unreadable', because: 'it is not JSON' };
  }
  try {
    return { kind: 'found', marker: markerFrom(fields) };
  } catch (error) {
    if (error instanceof OtherFormat) return { kind: 'unreadable', because: error.message, isOtherFormat: true };
    if (!(error instanceof MalformedId) && !(error instanceof TypeError)) throw error;
    return { kind: 'unreadable', because: error.message };
  }
}

/** Why this is no longer the folder of that store, in words for people; `undefined` when it is. Never throws. */
export async function whyNotOf(storePath: string, store: StoreId): Promise<string | undefined> {
  try {
    const read = await readMarker(storePath);
    if (read.kind === 'absent') return `its folder no longer has a ${MARKER_NAME}: the disk is not mounted`;
    if (read.kind === 'unreadable') return `its ${MARKER_NAME} can no longer be read: ${read.because}`;
    return read.marker.store === store ? undefined : `another store, ${read.marker.store}, is in its place`;
  } catch (error) {
    return messageOf(error);
  }
}

function markerFrom(value: unknown): Marker {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is not an object');
  const { format, cluster, host, store, epoch, boot, rescan } = value as Readonly<Record<string, unknown>>;
  if (format !== FORMAT)
    throw new (typeof format === 'string' ? OtherFormat : TypeError)(
      `its format is ${JSON.stringify(format)}; this program reads ${JSON.stringify(FORMAT)}`,
    );
  const { counter, random } = (typeof epoch === 'object' && epoch !== null ? epoch : {}) as Partial<Epoch>;
  if (!isCount(boot) || !isCount(counter) || typeof random !== 'string' || !/^[0-9a-f]{16}$/.test(random)) {
    throw new TypeError('its boot counter or epoch is malformed');
  }
  return {
    cluster: parseClusterId(String(cluster)),
    host: parseHostId(String(host)),
    store: parseStoreId(String(store)),
    epoch: { counter, random },
    boot,
    rescan: rescan === true,
  };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Durable when this returns. People read it too, so each field has its own line. */
export async function writeMarker(storePath: string, marker: Marker): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, ...marker }, undefined, 2)}\n`;
  await writeDurable(`${storePath}/${MARKER_NAME}`, text, { mode: FILE_MODE });
}
