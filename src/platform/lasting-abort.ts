/**
 * Lasting abort: a controller whose signal lives as long as a service. Everything that is under way listens to it and stops
 * listening when it is done, so there are as many listeners as things under way, and Node's warning above ten of them, meant
 * for leaks, would only put noise into the log.
 */
import { setMaxListeners } from 'node:events';

export function lastingAbort(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
