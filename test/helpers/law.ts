/** A law of the code, as a property that fast-check tries to refute: the smallest counterexample fails the test. */
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';

export function law<T>(t: ExecutionContext, property: fc.IProperty<T>, parameters: fc.Parameters<T> = {}): void {
  t.notThrows(() => fc.assert(property, parameters));
}
