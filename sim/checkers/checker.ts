/** Checker: watches the world for broken invariants, and throws a Violation when it finds one. */
import type { Happening } from '../happening.js';

export interface Checker {
  /** Looks at what a happening touched. */
  see(happening: Happening): void;
  /** Looks at everything. */
  full?(): void;
}
