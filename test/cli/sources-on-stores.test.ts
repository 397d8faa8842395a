import test from 'ava';
import { type SourceOnStores, sourceNamed } from '../../src/cli/sources-on-stores.js';
import { type HostId, sourceIdOf } from '../../src/core/ids.js';

const sourceOf = (host: string, source: string, name: string): SourceOnStores => {
  const id = sourceIdOf(host.repeat(32) as HostId, source);
  return { id, name, origin: host, snapshots: [], isVerified: true };
};

test('of a name that several hosts have on these disks those are told that it may mean; of an unknown one, all', t => {
  const sources = [
    sourceOf('a', 'docs', 'docs'),
    sourceOf('a', 'photos', 'imac/photos'),
    sourceOf('b', 'photos', 'mini/photos'),
  ];
  const asked = (source: string) => () => sourceNamed({ host: undefined, source }, sources, '');
  t.throws(asked('photos'), {
    code: 'SOURCE_AMBIGUOUS',
    message: 'several hosts have a source "photos"; there are: imac/photos, mini/photos',
  });
  t.throws(asked('films'), { code: 'SOURCE_UNKNOWN', message: /; there are: docs, imac\/photos, mini\/photos$/ });
});
