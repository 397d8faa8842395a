/**
 * A program for partial.test.ts: it must run without the right to read everything, which tests often have as root.
 * Prints the alarms after each step, as one line of JSON.
 */
import { chmodSync } from 'node:fs';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { until } from '../helpers/until.js';
import { anOrigin } from './an-origin.js';

const ends: (() => void | Promise<void>)[] = [];
const scope = { teardown: (end: () => void | Promise<void>) => void ends.push(end) };
const source = new ScratchSource(scope);
const retainer = { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never;
const steps: object[] = [];

source.write({ known: 'one', fine: 'two' });
const { origin, catalog, alarms, list } = await anOrigin(scope, source, { retainer });
await source.take();
await list();

type Standing = Pick<typeof alarms, 'list'>;
const told = (standing: Standing) => standing.list().map(({ code, text }) => [code, text]);

async function step(): Promise<void> {
  const { stale, missed } = await origin.backup(aSource, { acceptChanges: false });
  steps.push({ alarms: told(alarms), stale, missed });
}

await step();
source.write({ new: 'three' });
for (const name of ['known', 'new']) chmodSync(source.path(name), 0);
await step();
await step();

const restarted = await anOrigin(scope, source, { retainer, catalog });
restarted.configure();
await until('what was not read is told again', () => told(restarted.alarms).length > 0);
steps.push({ alarms: told(restarted.alarms) });
restarted.origin.configure([]);

for (const name of ['known', 'new']) chmodSync(source.path(name), 0o644);
await step();
chmodSync(source.path('new'), 0);
await origin.backup(aSource, { acceptChanges: false });
origin.configure([]);
steps.push({ alarms: told(alarms) });
for (const end of ends.reverse()) await end();
process.stdout.write(`${JSON.stringify(steps)}\n`);
