/**
 * Live diffs: how a source's folder differs from a snapshot, for the person who asks on its origin.
 *
 * The source's runs wait while its folder is looked at. To keep that as short as a scan, what is found goes into a
 * temporary file, and is read from there at the pace of the person's command. So nothing is reported of a folder that
 * turns out not to be the source.
 */
import { FrameSpool } from '../catalog/frame-spool.js';
import type { ListedSnapshot } from '../catalog/head.js';
import { parseSourceSpec, type WantedSnapshot } from '../catalog/source-spec.js';
import { ClusterError } from '../core/fault.js';
import { type ObjectId, type SourceId, splitSourceId } from '../core/ids.js';
import { fromJson, toJson } from './control-wire.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { Origin } from './origin.js';
import type { Roster } from './roster.js';
import type { LiveDiffReport, LiveDiffRequest } from './service.js';
import { nameIn, type SourceNames } from './source-names.js';

interface LiveDiffsOptions {
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
  readonly origin: Origin;
  readonly roster: Roster;
  readonly scratchFolder: string;
}

export class LiveDiffs {
  readonly #of: LiveDiffsOptions;

  constructor(options: LiveDiffsOptions) {
    this.#of = options;
  }

  async *of({ spec }: LiveDiffRequest, signal: AbortSignal): AsyncGenerator<LiveDiffReport> {
    const { names, snapshots, origin, scratchFolder } = this.#of;
    const { path: under, snapshot: wanted, ...named } = parseSourceSpec(spec);
    const source = names.named(nameIn(named));
    this.#needOwn(source);
    if (origin.isRunning(source)) yield { kind: 'waits' };
    const found = await FrameSpool.create(scratchFolder);
    const tell = (report: LiveDiffReport): Promise<void> => found.add(Buffer.from(toJson(report)));
    const choose = async (): Promise<ObjectId> => {
      const listed = await this.#listed(source, wanted, signal);
      await tell({ kind: 'against', snapshot: await snapshots.report(source, listed, signal) });
      return listed.id;
    };
    try {
      await origin.compare(source, { choose, under, signal }, tell);
      // This process wrote the file itself.
      for await (const frame of found.frames()) yield fromJson(frame.toString()) as LiveDiffReport;
    } finally {
      await found.close();
    }
  }

  /** Copies do not matter here: `latest` is the newest, even before anybody has a copy. */
  async #listed(source: SourceId, wanted: WantedSnapshot, signal: AbortSignal): Promise<ListedSnapshot> {
    const { snapshots } = this.#of;
    if (wanted.kind === 'latest') return snapshots.newest(source);
    return (await snapshots.choose(source, wanted, signal)).listed;
  }

  #needOwn(source: SourceId): void {
    const { names, origin, roster } = this.#of;
    if (origin.ownSource(source) !== undefined) return;
    const name = names.nameOf(source);
    const owner = splitSourceId(source).origin;
    if (owner === roster.self) {
      const text = `source ${name} is no longer in the policy, so there is no folder to compare with; to compare two of its snapshots: diff A B`;
      throw new ClusterError('SOURCE_UNKNOWN', text, { blame: 'operator' });
    }
    const host = roster.nameOf(owner);
    const text = `the folder of ${name} is on ${host}, its origin; run this there. Here two of its snapshots can be compared: diff A B`;
    throw new ClusterError('ORIGIN_ELSEWHERE', text, { blame: 'operator' });
  }
}
