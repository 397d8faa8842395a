/**
 * Raw streams, the processes: `receive MULTIADDR` prints where it listens and counts what comes; `send BYTES MULTIADDR…` sends
 * so much to each at once and prints the seconds.
 */
import '../../../src/platform/node-shims.js';
import { noise } from '@chainsafe/libp2p-noise';
import type { Stream } from '@libp2p/interface';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { send } from '../../../src/net/bulk-stream.js';
import { STREAM_WINDOW_BYTES_MAX } from '../../../src/net/libp2p-node.js';

const PROTOCOL = '/scatterhoard-bench/raw/1';
const PIECE = Buffer.alloc(64 * 1024, 'raw');

const [role, first = '', ...others] = process.argv.slice(2);
const node = await createLibp2p({
  addresses: { listen: role === 'receive' ? [first] : [] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX } })],
  connectionGater: { denyDialMultiaddr: () => false },
});

if (role === 'receive') {
  await node.handle(PROTOCOL, receive);
  process.stdout.write(`${node.getMultiaddrs()[0]}\n`);
} else {
  const bytes = Number(first);
  const streams = await Promise.all(others.map(address => node.dialProtocol(multiaddr(address), PROTOCOL)));
  const startMs = performance.now();
  await Promise.all(streams.map(stream => sendAll(stream, bytes)));
  process.stdout.write(`${(performance.now() - startMs) / 1000}\n`);
  await node.stop();
}

/** The first eight bytes say how much follows. The answer is one byte. */
function receive(stream: Stream): void {
  let left: number | undefined;
  stream.addEventListener('message', ({ data }) => {
    left ??= Number(Buffer.from(data.subarray(0, 8)).readBigUInt64BE()) + 8;
    left -= data.byteLength;
    if (left === 0) stream.send(Uint8Array.of(1));
  });
}

async function sendAll(stream: Stream, bytes: number): Promise<void> {
  const answered = new Promise<void>((resolve, reject) => {
    stream.addEventListener('message', () => resolve());
    stream.addEventListener('close', ({ error }) => reject(error ?? new Error('the receiver has closed the stream')));
  });
  const head = Buffer.alloc(8);
  head.writeBigUInt64BE(BigInt(bytes));
  await send(stream, head);
  for (let left = bytes; left > 0; left -= PIECE.length)
    await send(stream, PIECE.subarray(0, Math.min(left, PIECE.length)));
  await answered;
}
