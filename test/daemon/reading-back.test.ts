/** Reading a snapshot back through the service: `resolve`, then `entries`, several times. */
import test, { type ExecutionContext } from 'ava';
import type { ObjectId } from '../../src/core/ids.js';
import { Answers } from '../../src/daemon/answers.js';
import { Protections } from '../../src/daemon/protection.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

const NEVER = new AbortController().signal;

/** A host with one source, `photos`, whose last snapshot is listed until `unlist`. */
async function aService(t: ExecutionContext, files: Readonly<Record<string, string>>) {
  const source = new ScratchSource(t);
  source.write(files);
  await source.take();
  const snapshot = source.last as ObjectId;
  let listed = [{ id: snapshot, timeMs: anyTimeMs, complete: true, firstSeq: 1 }];
  const machine = { copiesWanted: () => 1, copies: () => 1, holders: () => [{ host: 'ben' }] };
  const { objects } = source;
  const answers = new Answers({
    membership: { clusterConfig: { sources: [] } },
    catalog: {
      objects,
      sources: () => [aSource],
      get: () => ({ head: { snapshots: listed } }),
      wantedSnapshots: () => listed.map(({ id }) => id),
    },
    roster: { sourceName: () => 'photos', nameOf: () => 'imac' },
    protections: new Protections({ machine, reader: objects, isReachable: () => true } as never),
    machine,
    mending: objects,
    objects,
  } as unknown as ConstructorParameters<typeof Answers>[0]);
  const read = async (under = ''): Promise<string[]> => {
    const lines: string[] = [];
    for await (const item of answers.entries({ sourceId: aSource, snapshot, under: Buffer.from(under) }, NEVER))
      lines.push(item.entry.path.toString());
    return lines;
  };
  return {
    answers,
    source,
    snapshot,
    read,
    unlist: () => {
      listed = [];
    },
  };
}

test('a restore goes on when its snapshot has left its hold; one that nobody asked for by name is refused', async t => {
  const named = await aService(t, { 'one.txt': 'one' });
  await named.answers.resolve({ spec: 'photos' }, NEVER);
  named.unlist();
  t.deepEqual(await named.read(), ['', 'one.txt']);
  const never = await aService(t, { 'one.txt': 'one' });
  t.deepEqual(await never.read(), ['', 'one.txt']);
  never.unlist();
  await t.throwsAsync(never.read(), { code: 'SNAPSHOT_UNKNOWN' });
});
