/** Day: the one of 24 hours. A calendar's day may have 23 or 25 (membership/schedule.ts). And the last day there is. */

/** In ms. */
export const DAY_MS = 86_400_000;
/** The end of the year 9999, in ms since 1970: dates beyond it are printed and read in other forms. */
export const TIME_MS_MAX = 253_402_300_799_000;
