/**
 * Figures: the results of a bench, one number each, with its goal. They are ratios and counts, so that they mean the
 * same on every machine.
 */
export interface Figure {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** Undefined for a number that is shown only for comparison with a figure. */
  readonly goal: number | undefined;
  readonly holds: boolean | undefined;
}

interface Measured {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
}

export const atMost = (goal: number, measured: Measured): Figure => ({
  ...measured,
  goal,
  holds: measured.value <= goal,
});

export const atLeast = (goal: number, measured: Measured): Figure => ({
  ...measured,
  goal,
  holds: measured.value >= goal,
});

/** A baseline: the result without the measured feature. */
export const beside = (measured: Measured): Figure => ({ ...measured, goal: undefined, holds: undefined });
