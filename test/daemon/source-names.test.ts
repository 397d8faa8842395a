import test from 'ava';
import { type HostId, type SourceId, sourceIdOf, splitSourceId } from '../../src/core/ids.js';
import { Roster } from '../../src/daemon/roster.js';
import { SourceNames } from '../../src/daemon/source-names.js';

const HOSTS = { imac: 'a'.repeat(32) as HostId, mini: 'b'.repeat(32) as HostId };
const idOf = (host: keyof typeof HOSTS, name: string): SourceId => sourceIdOf(HOSTS[host], name);

const nameOf = (host: HostId): string => (host === HOSTS.imac ? 'imac' : 'mini');
const names = new SourceNames({
  catalog: { sources: () => [idOf('imac', 'photos'), idOf('mini', 'photos'), idOf('imac', 'docs')] },
  membership: { clusterConfig: { sources: [] } },
  roster: {
    nameOf,
    sourceName: (source: SourceId, all: Iterable<SourceId>) =>
      Roster.prototype.sourceName.call({ nameOf }, source, all),
  },
} as unknown as ConstructorParameters<typeof SourceNames>[0]);

test('of a name that several hosts have those are told that it may mean; of an unknown one, all', t => {
  t.throws(() => names.named('photos'), {
    code: 'SOURCE_AMBIGUOUS',
    message: 'several hosts have a source "photos"; there are: imac/photos, mini/photos',
  });
  t.throws(() => names.named('films'), {
    code: 'SOURCE_UNKNOWN',
    message: 'no source "films"; there are: docs, imac/photos, mini/photos',
  });
  t.is(splitSourceId(names.named('mini/photos')).origin, HOSTS.mini);
});
