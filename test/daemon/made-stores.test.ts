import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseStoreId } from '../../src/core/ids.js';
import { MadeStores } from '../../src/daemon/made-stores.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

test('what was made is known in the next run; a damaged file is left as it is, and said what it costs', async t => {
  const folder = join(temporaryFolder(t), 'state');
  const id = parseStoreId('51'.repeat(16));
  const first = new MadeStores(folder);
  first.recall();
  await first.remember('/tank', id);
  const next = new MadeStores(folder);
  next.recall();
  t.is(next.at('/tank'), id);

  const file = join(folder, 'stores.json');
  for (const spoiled of ['', '{"/tank"', 'null', '{"/tank": "no id"}']) {
    writeFileSync(file, spoiled);
    const damaged = t.throws(() => new MadeStores(folder).recall());
    t.like(damaged, { code: 'STATE_DAMAGED', blame: 'operator' });
    t.true(damaged?.message.includes(file) && /Plug in the disks of all of its stores/.test(damaged.message));
    t.is(readFileSync(file, 'utf8'), spoiled);
  }
});

test('the state folder may not be there yet', t => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'state'));
  t.notThrows(() => new MadeStores(join(folder, 'state')).recall());
  t.notThrows(() => new MadeStores(join(folder, 'nothing')).recall());
});
