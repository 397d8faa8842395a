/**
 * Partial: reports what the newest snapshot of a source lacks, because it could not be read when it was taken. It is
 * backed up by no other snapshot either, so this stays an alarm until there is a newest snapshot that has everything.
 *
 * The counts are those of the snapshot as it was taken, and outlive a restart; the paths are those that the last run of
 * this start met. A file that was deleted or changed before anybody had a copy is no alarm, for whoever did that knows:
 * what a re-cut lacks beside is not told.
 */
import { entriesOf, type Unread } from '../catalog/merge-scan.js';
import { lackingText } from '../catalog/partial-text.js';
import { escapePath } from '../catalog/path-text.js';
import { isPartial, type Snapshot } from '../catalog/snapshot.js';
import type { SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';

export const PARTIAL = 'SNAPSHOT_PARTIAL';
/** Enough paths to know which are meant. */
const NAMED_MAX = 3;

/** Called when a source has another newest snapshot, and at the start. */
export function tellPartial(
  alarms: Pick<Alarms, 'raise' | 'clear'>,
  source: SourceId,
  {
    name,
    newest,
    unread,
  }: {
    readonly name: string;
    readonly newest: Pick<Snapshot, 'stale' | 'missed'>;
    readonly unread: readonly Unread[];
  },
): void {
  if (!isPartial(newest)) {
    alarms.clear(PARTIAL, source);
    return;
  }
  const { stale, missed } = newest;
  // No id and no time, so that the log has it once while run after run lacks the same.
  alarms.raise(
    PARTIAL,
    source,
    `source ${name}: not all could be read for its newest snapshot: ${lackingText(newest)}${namedOf(unread, stale + missed)}. Let the service's user read it, or \`exclude\` what is not to be backed up; a run that reads everything ends this alarm. 'cluster diff ${name}' on this host says what cannot be read now`,
  );
}

function namedOf(unread: readonly Unread[], count: number): string {
  const named = unread.slice(0, NAMED_MAX);
  if (named.length === 0) return '';
  const texts = named.map(({ path, because }) => `${escapePath(path) || 'the folder itself'} (${because})`);
  const more = count - named.reduce((sum, one) => sum + entriesOf(one), 0);
  return `: ${texts.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
