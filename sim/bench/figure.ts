/** Figures: what a bench says, one number each, with the goal that it is held against. Ratios and counts, so that they mean the same on every machine. */
export interface Figure {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** Undefined for what stands beside a figure only to be compared with. */
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

/** A baseline: what happens without the thing that is measured. */
export const beside = (measured: Measured): Figure => ({ ...measured, goal: undefined, holds: undefined });
