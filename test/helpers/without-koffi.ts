/**
 * Without koffi: a module to start a program with (`--import`), so that none of its threads can load koffi while
 * `WITHOUT_KOFFI` is in its environment.
 */
const PROGRAM = `
import Module from 'node:module';
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) => {
  if (name === 'koffi' && process.env.WITHOUT_KOFFI) throw new Error('a test took it away');
  return resolve(name, ...rest);
};`;

export const WITHOUT_KOFFI = `data:text/javascript,${encodeURIComponent(PROGRAM)}`;
