/** Day: the one of 24 hours. A calendar's day may have 23 or 25 (membership/schedule.ts). In ms. */
export const DAY_MS = 86_400_000;
