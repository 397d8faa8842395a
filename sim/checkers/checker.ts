/** Checker: watches the world for invariants that do not hold, and throws a Violation where it finds one. */
import type { Happening } from '../happening.js';

export interface Checker {
  /** Looks at what a happening touched. */
  see(happening: Happening): void;
  /** Looks at everything. */
  full?(): void;
}
