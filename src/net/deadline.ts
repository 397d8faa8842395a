/**
 * Deadline: runs work with a signal that fires after a time, or with any of some signals, and leaves nothing behind.
 */
import { abortWith } from '../platform/abort-with.js';

export async function withDeadline<T>(
  ms: number,
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const undo = abortWith(controller, signals);
  const timer = setTimeout(() => controller.abort(new Error(`not done within ${ms / 1000} s`)), ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    undo();
  }
}
