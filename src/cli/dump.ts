/** `cluster dump SOURCE[@SNAPSHOT]:PATH`: the bytes of one file, to stdout. */
import { Command } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import { oneFile } from './one-file.js';
import type { Run } from './run.js';
import { shortId, timeText } from './text.js';

/** The output does not show which snapshot a time means. */
const NAMES_TIME = /^[^@:]*@\d{4}-/;

export const dumpCommand = (run: Run): Command =>
  new Command('dump')
    .description(
      'the bytes of one file, to stdout, once all of them are verified; until then they are kept in memory, or in TMPDIR from 8 MiB on',
    )
    .argument('<source:path>', SPEC_HELP)
    .action(run(dump));

async function dump(context: Context, spec: string): Promise<ExitCode> {
  const service = context.service();
  const { source, snapshot, name, entry, parcel } = await oneFile(context, spec, { forMore: 'restore' });
  if (NAMES_TIME.test(spec)) context.note(`${source}@${shortId(snapshot.id)} of ${timeText(snapshot.timeMs)}`);
  // The bytes do not show it, and a stale database dump may be what somebody is about to use.
  if (entry.stale) context.note(`${name} is older than the snapshot: it could not be read when that was taken`);
  const { blob, size } = entry;
  if (blob === undefined || size === 0) return EXIT.ok;
  // Loaded only here: no other command needs it.
  const { HeldBack } = await import('./held-back.js');
  const held = new HeldBack(blob, size);
  try {
    for await (const frame of service.content({ parcel, blobs: [blob] }, context.signal)) {
      if (frame.kind === 'start') held.begin();
      else if (frame.kind === 'data') await held.add(frame.data);
      else if (frame.kind === 'waiting') context.note(`waiting for ${frame.hosts.join(' or ')}, gone just now`);
      else if (frame.kind === 'unavailable') {
        const hosts = frame.hosts.length === 0 ? '' : `; switch on: ${frame.hosts.join(', ')}`;
        throw new ClusterError('UNREACHABLE', `${name}: ${frame.because}${hosts}`, { blame: 'passing' });
      } else if (held.end()) {
        for await (const bytes of held.bytes()) await context.write(bytes);
        return EXIT.ok;
      }
    }
  } finally {
    await held.close();
  }
  throw new ClusterError(
    'CONTENT_WRONG',
    `${name}: the bytes that came are not those that were backed up. Nothing was printed`,
    {
      blame: 'passing',
    },
  );
}
