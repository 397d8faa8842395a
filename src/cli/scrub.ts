/** `cluster scrub`: reads every copy in this host's stores at once and checks it against its hash. */
import { Command } from 'commander';
import type { ScrubReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { Progress } from './progress.js';
import type { Run } from './run.js';
import { countText, sizeText } from './text.js';

export const scrubCommand = (run: Run): Command =>
  new Command('scrub')
    .description(
      "read every copy in this host's stores at once, as fast as the disks allow, whatever the service's own slow scrub has read; exit code 1 when some are damaged or cannot be read, or a store is not mounted",
    )
    .action(run(scrub));

async function scrub(context: Context): Promise<ExitCode> {
  let progress: Progress | undefined;
  let last: ScrubReport | undefined;
  try {
    for await (const report of context.service().scrub(context.signal)) {
      progress ??= await Progress.start(context, { what: 'parcels', count: report.ofParcels, bytes: report.ofBytes });
      progress.step({ phase: 'reading', count: report.parcels, bytes: report.bytes });
      last = report;
    }
  } finally {
    progress?.stop();
  }
  if (last === undefined) return EXIT.ok;
  const { stores, parcels, bytes, corrupt, unread, catalog, unreadCatalogs, absentStores } = last;
  const wrong = corrupt + unread + catalog + unreadCatalogs + absentStores.length;
  if (context.json) {
    const counts = { stores, parcels, bytes, corrupt, unread, catalog, unread_catalogs: unreadCatalogs };
    await context.record({ message_type: 'scrub', ...counts, absent_stores: absentStores });
  } else {
    const what = `${countText(parcels, 'parcel')}, ${sizeText(bytes)}, in ${countText(stores, 'store')}`;
    await context.print(wrong === 0 ? `${what}: all as they should be` : `${what} were checked`);
  }
  if (corrupt > 0)
    context.note(
      `${countText(corrupt, 'parcel')} had wrong or missing bytes: they no longer count, and are fetched again from other hosts. That disk may be failing`,
    );
  if (unread > 0) context.note(`${countText(unread, 'parcel')} could not be read; the log says why`);
  if (catalog > 0)
    context.note(
      `${countText(catalog, 'object')} of the catalog had wrong bytes or were missing: they are written again from this host's own catalog. That disk may be failing`,
    );
  if (unreadCatalogs > 0)
    context.note(`the catalog of ${countText(unreadCatalogs, 'store')} could not be read; 'cluster status' says why`);
  for (const { path, because } of absentStores)
    context.note(
      `the store ${path} is not mounted: ${because}. It was not checked; run 'cluster scrub' again once it is mounted`,
    );
  return wrong > 0 ? EXIT.failed : EXIT.ok;
}
