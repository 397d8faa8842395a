import test from 'ava';
import { testStoreContract } from '../contracts/store-contract.js';
import { TestHost } from './real-store.js';

const hosts = new Map<string, TestHost>();

testStoreContract(test, {
  async make(t) {
    const host = await TestHost.begin(t);
    const store = await host.mount();
    hosts.set(store.id, host);
    return store;
  },
  async reopen(_t, { id }) {
    const host = hosts.get(id);
    if (host === undefined) throw new Error('no such host');
    return host.restart();
  },
});
