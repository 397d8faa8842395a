import test from 'ava';
import { inWords } from '../../src/core/disk-trouble.js';
import { ClusterError, messageOf } from '../../src/core/fault.js';

const failure = (code: string, path?: string | Buffer) =>
  Object.assign(new Error(`${code}: it failed, write`), { code, ...(path !== undefined && { path }) });

test('trouble of a disk tells the folder, the system’s own word, what was kept and what to do', t => {
  const codes = { ENOSPC: 'DISK_FULL', EDQUOT: 'DISK_FULL', EROFS: 'DISK_READ_ONLY', EIO: 'DISK_FAILED' };
  for (const [code, told] of Object.entries(codes)) {
    const cause = failure(code, '/srv/state/config/current');
    const error = inWords(cause);
    t.like(error, { code: told, blame: 'operator', cause });
    t.regex(messageOf(error), new RegExp(` /srv/state/config .*${code}.*stored before is as it was.*then try again`));
  }
  t.regex(messageOf(inWords(failure('EIO', Buffer.from('/srv/state/boot')))), / \/srv\/state /);
});

test('an error that names nothing still tells what was kept and what to do', t => {
  t.regex(messageOf(inWords(failure('ENOSPC'))), /no room left.*ENOSPC.*as it was.*Make room/);
});

test('any other error stays as it is, and so does one that is in words already', t => {
  const words = new ClusterError('STORE_FULL', 'full', { blame: 'passing', cause: failure('ENOSPC') });
  for (const error of [failure('ENOENT', '/a/b'), new Error('bug'), words, 'text']) t.is(inWords(error), error);
});
