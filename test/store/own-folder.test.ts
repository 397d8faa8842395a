import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { storeFull } from '../../src/store/own-folder.js';

const failure = (code: string) => Object.assign(new Error(`${code}: write`), { code });

test('no room, and none by a quota, are told as a full store', t => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const told = storeFull(failure(code), '/srv/hoard/.incoming/1');
    t.true(told instanceof ClusterError);
    if (!(told instanceof ClusterError)) continue;
    t.is(told.code, 'STORE_FULL');
    t.regex(told.message, new RegExp(`${code}.*/srv/hoard/.incoming/1.*untouched`));
  }
});

test('any other failure of the disk stays what it is: of a file that is too large for it, too', t => {
  for (const error of [failure('EIO'), failure('EFBIG')]) t.is(storeFull(error, '/srv/hoard'), error);
});
