import type { MultiaddrConnection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import test from 'ava';
import { PENDING_PER_ADDRESS_MAX, PendingConnections } from '../../src/net/pending-connections.js';

let port = 1_024;

/** What is asked of a connection, of an own port of that address. */
function from(address: string): MultiaddrConnection {
  const remoteAddr = multiaddr(`/ip4/${address}/tcp/${port++}`);
  return Object.assign(new EventTarget(), { remoteAddr, status: 'open' }) as unknown as MultiaddrConnection;
}

test('one address has 50 that have proved no name, and no more; another has its own', t => {
  const pending = new PendingConnections();
  const first = Array.from({ length: PENDING_PER_ADDRESS_MAX }, () => from('192.0.2.1'));
  t.is(first.filter(connection => pending.refuses(connection)).length, 0);
  t.true(pending.refuses(from('192.0.2.1')));
  t.false(pending.refuses(from('192.0.2.2')));
  pending.named(first[0] as MultiaddrConnection);
  first[1]?.dispatchEvent(new Event('close'));
  t.false(pending.refuses(from('192.0.2.1')));
  t.false(pending.refuses(from('192.0.2.1')));
  t.true(pending.refuses(from('192.0.2.1')), 'as many as have been named or have gone');
});
