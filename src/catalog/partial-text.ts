/** Partial text: says what a partial snapshot lacks, and what it has as it was before. */

interface Lacking {
  readonly stale: number;
  readonly missed: number;
}

export const lackingText = ({ stale, missed }: Lacking): string =>
  [
    ...(missed > 0 ? [`${missed} not in it (missed)`] : []),
    ...(stale > 0 ? [`${stale} in it as before (stale)`] : []),
  ].join(', ');
