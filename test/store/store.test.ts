import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { testAssemblyContract } from '../contracts/assembly-contract.js';
import type { ContractStore, Spoilt } from '../contracts/contract-store.js';
import { testStoreContract } from '../contracts/store-contract.js';
import type { TestBlob } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const hosts = new Map<string, TestHost>();

function hostOf({ id }: Pick<ContractStore, 'id'>): TestHost {
  const host = hosts.get(id);
  if (host === undefined) throw new Error('no such host');
  return host;
}

const maker = {
  async make(t: ExecutionContext) {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    hosts.set(store.id, host);
    return store;
  },
  async reopen(_t: ExecutionContext, store: ContractStore) {
    return hostOf(store).restart();
  },
  passTime(store: ContractStore, ms: number) {
    hostOf(store).nowMs += ms;
  },
  async spoil(store: ContractStore, { blob, bytes, content }: TestBlob, how: Spoilt) {
    const path = join(hostOf(store).storePath, '.blobs', blob.slice(0, 2), blob);
    switch (how) {
      case 'gone':
        return rm(path);
      case 'shorter':
        return truncate(path, bytes - 1);
      case 'longer':
        return writeFile(path, Buffer.concat([content, Buffer.of(0)]));
      case 'other':
        return writeFile(path, Buffer.from(content).fill(content.readUInt8(bytes - 1) ^ 1, bytes - 1));
    }
  },
};

testStoreContract(test, maker);
testAssemblyContract(test, maker);
