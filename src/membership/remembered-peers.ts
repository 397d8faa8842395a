/**
 * Remembered peers: where each member was last reached, in `STATE/peers.json`, so that a host finds the others after a
 * restart without mDNS. It grants no rights: the configuration says who is a member. Losing it costs discovery time.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type PeerName, parsePeerName } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { MEMBERS_MAX } from './configuration.js';
import type { Door } from './invite.js';
import { ADDRESSES_MAX, isAddress } from './policy-schema.js';

const FILE = 'peers.json';
const peersFile = z.object({ peers: z.record(z.string(), z.array(z.string())) });

export function readRememberedPeers(stateDir: string, log: Logger): ReadonlyMap<PeerName, readonly string[]> {
  const path = join(stateDir, FILE);
  const bytes = readIfThere(path);
  if (bytes === undefined) return new Map();
  try {
    const { peers } = peersFile.parse(JSON.parse(bytes.toString('utf8')));
    return new Map(
      Object.entries(peers).map(([peer, addresses]) => [parsePeerName(peer), addresses.filter(isAddress)]),
    );
  } catch (error) {
    log.warn({ err: error, file: path }, 'this file is damaged and will be rewritten; peers are found in other ways');
    return new Map();
  }
}

/** Replaces the remembered peers. */
export async function writeRememberedPeers(stateDir: string, doors: Iterable<Door>): Promise<void> {
  const peers = [...doors]
    .slice(0, MEMBERS_MAX)
    .map(({ peer, addresses }) => [peer, addresses.slice(0, ADDRESSES_MAX)] as const);
  await writeDurable(join(stateDir, FILE), `${JSON.stringify({ peers: Object.fromEntries(peers) }, undefined, 2)}\n`);
}
