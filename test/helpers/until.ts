/** Waits for a condition, within a bound. */
import { setTimeout as delay } from 'node:timers/promises';

/** Far above what anything here takes on a busy machine. In ms. */
const WITHIN_MS = 30_000;

export async function until(what: string, is: () => boolean): Promise<void> {
  const untilMs = Date.now() + WITHIN_MS;
  while (!is()) {
    if (Date.now() > untilMs) throw new Error(`not within ${WITHIN_MS} ms: ${what}`);
    await delay(5);
  }
}
