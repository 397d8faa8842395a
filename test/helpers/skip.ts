/**
 * Skip: a test that cannot run on this system says so loudly, and why; ava would call one without assertions a failure.
 *
 * ava counts it as passed. Whoever counts the tests has to subtract those that print these words.
 */
import type { ExecutionContext } from 'ava';

export const SKIPPED = 'SKIPPED, nothing was tested';

export function skip(t: ExecutionContext, why: string): void {
  t.log(`${SKIPPED}: ${why}`);
  t.pass();
}
