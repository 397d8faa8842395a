import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseHostId } from '../../src/core/ids.js';
import { keepIndexOf } from '../../src/daemon/index-owner.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const [first, other] = [parseHostId('0a'.repeat(16)), parseHostId('0b'.repeat(16))];

test('an index that was made while the machine was another host is removed, whichever way it turned, and else kept', async t => {
  const stateDir = temporaryFolder(t);
  const file = join(stateDir, 'index', 'something');
  const make = (): void => {
    mkdirSync(join(stateDir, 'index'), { recursive: true });
    writeFileSync(file, 'x');
  };
  const keepFor = async (host: typeof first): Promise<boolean> => {
    await keepIndexOf(host, { stateDir, firstHost: first });
    return existsSync(file);
  };
  await keepIndexOf(first, { stateDir, firstHost: first });
  t.false(existsSync(join(stateDir, 'index')), 'the first one is made by whoever opens it');
  make();
  t.true(await keepFor(first));
  t.false(await keepFor(other));
  make();
  t.true(await keepFor(other));
  t.false(await keepFor(first));
  make();
  t.true(await keepFor(first));
});

test('what a crash left of an index that was being removed is no index', async t => {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'index.former'));
  writeFileSync(join(stateDir, 'index.former', 'half'), 'x');
  await keepIndexOf(other, { stateDir, firstHost: first });
  t.false(existsSync(join(stateDir, 'index.former')));
  t.is(readFileSync(join(stateDir, 'index', 'host'), 'utf8'), `${other}\n`);
});
