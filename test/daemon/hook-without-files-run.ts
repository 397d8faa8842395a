/**
 * A program for hooks.test.ts, started with a low limit of open files: it uses them up, and runs the hook `dump` of the state folder
 * that it is given. Prints why that failed.
 */
import { closeSync, openSync } from 'node:fs';
import { pino } from 'pino';
import { Hooks } from '../../src/daemon/hooks.js';

const [, , stateDir = ''] = process.argv;
const hooks = new Hooks({ stateDir, log: pino({ level: 'silent' }) });
const call = { name: 'dump', moment: 'before', source: 'db', path: '/srv/db', timeoutMs: 5_000 } as const;
const run = (): Promise<void> => hooks.run(call, new AbortController().signal);
// What is loaded at the first run is loaded by then.
await run();

const files: number[] = [];
try {
  for (;;) files.push(openSync('/dev/null', 'r'));
} catch {
  // That was the last one.
}
const outcome = await run().then(
  () => 'it ran',
  ({ code, message }: { readonly code: string; readonly message: string }) => `${code} ${message}`,
);
for (const file of files) closeSync(file);
process.stdout.write(`${outcome}\n`);
