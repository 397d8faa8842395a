/** `cluster explain SOURCE:PATH`: why these hosts hold a file, and why the others do not. */
import { Command } from 'commander';
import type { Because } from '../core/explain.js';
import type { ExplainReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import { oneFile } from './one-file.js';
import type { Run } from './run.js';
import { coloured, countText, lineText, shortId, sizeText, tableText } from './text.js';

type Explained = ExplainReport['hosts'][number];

export const explainCommand = (run: Run): Command =>
  new Command('explain')
    .description('why these hosts hold a file and the others do not, in the order in which they are to')
    .argument('<source:path>', SPEC_HELP)
    .action(run(explain));

async function explain(context: Context, spec: string): Promise<ExitCode> {
  const { name, snapshot, entry, parcel } = await oneFile(context, spec, { forMore: 'ls-replicas', thoughAway: true });
  if (entry.size === 0) {
    if (context.json) await context.record({ message_type: 'explain', parcel: null, bytes: 0, want: 0, have: 0 });
    else await context.print(lineText(`${name} is empty: its name is all of it, and no host needs a copy`));
    return EXIT.ok;
  }
  const { bytes, want, have, hosts } = await context.service().explain({ parcel }, context.signal);
  if (context.json) {
    for (const { host, why, because, with: other } of hosts)
      await context.record({ message_type: 'reason', host, why, because: because ?? null, with: other ?? null });
    await context.record({ message_type: 'explain', parcel, bytes, want, have });
    return EXIT.ok;
  }
  const count = `${have} of ${countText(want, 'copy', 'copies')}`;
  const what = lineText(`${name}, snapshot ${shortId(snapshot.id)}`);
  await context.print(`${what}: ${have < want ? coloured('red', count) : count}`);
  await context.print(
    bytes === entry.size
      ? `it is parcel ${shortId(parcel)}, ${sizeText(bytes)}`
      : `it goes with others in parcel ${shortId(parcel)}, ${sizeText(bytes)}, which is copied as a whole`,
  );
  await context.print('');
  const rows = hosts.map(one => [one.host, whyText(one)]);
  await context.print(tableText(context.isTerminal, [{ head: 'host' }, { head: 'why' }], rows));
  return EXIT.ok;
}

function whyText({ why, because, with: other = '' }: Explained): string {
  switch (why) {
    case 'copy':
      return 'holds a copy';
    case 'original':
      return 'is where it comes from: what is there is no copy';
    case 'claim':
      return 'is about to fetch it';
    case 'uncounted-copy':
      return `holds a copy that does not count: ${because === undefined ? '' : BECAUSE[because](other)}`;
    case 'nothing':
      return `holds none: ${because === undefined ? '' : BECAUSE[because](other)}`;
  }
}

const BECAUSE: Readonly<Record<Because, (other: string) => string>> = {
  provisional: () => 'it has not been admitted for good yet',
  draining: () => 'it is being emptied',
  revoked: () => 'it was shut out',
  untrusted: () => 'it is not trusted',
  'two-machines': () => 'two machines run with its key',
  dead: () => 'it has been away for too long',
  origin: () => 'the files themselves are there too, on the same machine',
  'same-domain': other => `${other} is in the same place, and holds one`,
  'store-away': () => 'its store is not there',
  'not-seen': () => 'it is not there now',
  'no-store': () => 'it lends no room',
  'no-room': () => 'it has too little room',
  'enough-copies': () => 'there are copies enough',
  'in-turn': () => 'it may fetch one when its turn comes',
};
