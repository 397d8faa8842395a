import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type HostId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import { beginIndexTrial, removeIndex } from '../../src/daemon/index-trial.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const [large, small] = ['large', 'small'].map(name => sourceIdOf('ab'.repeat(16) as HostId, name)) as [
  SourceId,
  SourceId,
];

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
  t.regex(beginIndexTrial(stateDir).damaged ?? '', /3 starts .* in a row.*index\.damaged/);
  t.false(has('index'));
  t.true(has('index.damaged'));
});

test('after three scans of a source in a row that did not end the scan cache alone is set aside, and told', t => {
  const { stateDir, has } = aState(t);
  for (const name of ['scan', 'scan-lock', 'holdings']) writeFileSync(join(stateDir, 'index', name), name);
  for (let start = 0; start < 3; start += 1) {
    const trial = beginIndexTrial(stateDir);
    t.is(trial.damaged, undefined);
    trial.beginScan(large);
    // Those of others do end, and the start lasts.
    trial.beginScan(small)();
    trial.end();
  }
  t.true(has('index/scan'));
  const trial = beginIndexTrial(stateDir);
  t.regex(trial.damaged ?? '', /3 .* scans of a source.*index\.damaged/);
  for (const name of ['scan', 'scan-lock']) {
    t.false(has(`index/${name}`));
    t.true(has(`index.damaged/${name}`));
  }
  t.true(has('index/holdings'));
  // It begins anew.
  writeFileSync(join(stateDir, 'index', 'scan'), 'another');
  trial.beginScan(large);
  trial.end();
  beginIndexTrial(stateDir).end();
  t.true(has('index/scan'));
});

test('a scan that ends, or a scan cache that is away with its index, begins the count anew', t => {
  const { stateDir, has } = aState(t);
  const scanCache = (): void => writeFileSync(join(stateDir, 'index', 'scan'), '');
  scanCache();
  for (let start = 0; start < 9; start += 1) {
    const trial = beginIndexTrial(stateDir);
    const scanEnds = trial.beginScan(large);
    if (start % 3 === 2) scanEnds();
    trial.end();
  }
  t.true(has('index/scan'));
  for (let start = 0; start < 3; start += 1) beginIndexTrial(stateDir).beginScan(large);
  t.true(has('index/scan'));
  beginIndexTrial(stateDir).end();
  t.false(has('index'));
  mkdirSync(join(stateDir, 'index'));
  scanCache();
  beginIndexTrial(stateDir).end();
  t.true(has('index/scan'));
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
  mkdirSync(join(stateDir, 'config'));
  writeFileSync(join(stateDir, 'config/current'), '');
  removeIndex(stateDir);
  for (const name of ['index', 'index.damaged', 'index-starts', 'scan-starts', 'lock']) t.false(has(name), name);
});
