import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { beginIndexTrial, removeIndex } from '../../src/daemon/index-trial.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

function aState(t: ExecutionContext) {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'index'));
  const has = (name: string): boolean => existsSync(join(stateDir, name));
  return { stateDir, has };
}

test('after three starts in a row that neither lasted nor ended by themselves the index is set aside, and told', t => {
  const { stateDir, has } = aState(t);
  for (let start = 0; start < 3; start += 1) t.is(beginIndexTrial(stateDir).damaged, undefined);
  t.true(has('index'));
  t.regex(beginIndexTrial(stateDir).damaged ?? '', /3 starts .* in a row .*index\.damaged/);
  t.false(has('index'));
  t.true(has('index.damaged'));
});

test('a start that ends by itself begins the count anew', t => {
  const { stateDir, has } = aState(t);
  for (let start = 0; start < 9; start += 1) {
    const trial = beginIndexTrial(stateDir);
    if (start % 3 === 2) trial.end();
  }
  t.true(has('index'));
});

test('a count that a power cut left unreadable sets nothing aside', t => {
  const { stateDir, has } = aState(t);
  for (const left of ['', '\0\0', 'no number']) {
    writeFileSync(join(stateDir, 'index-starts'), left);
    t.is(beginIndexTrial(stateDir).damaged, undefined);
    t.true(has('index'));
  }
});

test('the index is removed with all that was set aside', t => {
  const { stateDir, has } = aState(t);
  for (let start = 0; start < 4; start += 1) beginIndexTrial(stateDir);
  mkdirSync(join(stateDir, 'index'));
  removeIndex(stateDir);
  for (const name of ['index', 'index.damaged', 'index-starts', 'lock']) t.false(has(name), name);
});
