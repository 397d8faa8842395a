/**
 * Without koffi: what a program is started with (`--import`) so that koffi cannot be loaded in any of its threads while it
 * has `WITHOUT_KOFFI` in its environment.
 */
const PROGRAM = `
import Module from 'node:module';
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) => {
  if (name === 'koffi' && process.env.WITHOUT_KOFFI) throw new Error('a test took it away');
  return resolve(name, ...rest);
};`;

export const WITHOUT_KOFFI = `data:text/javascript,${encodeURIComponent(PROGRAM)}`;
