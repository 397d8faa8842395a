/** Hold text: how long holders keep a source's snapshots whatever later heads say, as part of a sentence. */
import { HOLD_DAYS_FIRST, HOLD_DAYS_OTHER } from '../core/hold.js';

export const holdText = (holdDays: number | undefined): string =>
  holdDays === undefined ? `${HOLD_DAYS_OTHER}d, the first of a day for ${HOLD_DAYS_FIRST}d` : `${holdDays}d`;
