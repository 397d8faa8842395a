/**
 * Identity: who this host is. `STATE/identity.key` holds its Ed25519 seed (the libp2p identity) and its host id, which
 * survives a change of key; `STATE/admin.key`, on admin hosts only, the seed that signs configurations.
 *
 * Both files have mode 0600 and are refused when others can read them. They carry their public key, so that a damaged
 * seed is noticed at once instead of making this host a stranger.
 */
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ClusterError } from '../core/fault.js';
import { bytesOf, type HostId, hexOf, type PeerName, parseHostId } from '../core/ids.js';
import type { Signer } from '../core/signed.js';
import { writeDurable } from '../platform/durable.js';
import { generateKeyPair, signerFromSeed } from '../platform/ed25519.js';
import { hostIdOf, peerNameOf } from './peer-key.js';

export interface Identity {
  readonly host: HostId;
  readonly peer: PeerName;
  /** 32 bytes: the secret, for libp2p. */
  readonly seed: Uint8Array;
  readonly signer: Signer;
}

export const IDENTITY_FILE = 'identity.key';
export const ADMIN_FILE = 'admin.key';
/** Only its owner may access the state folder: it holds keys. */
export const FOLDER_MODE = 0o700;
const KEY_FILE_BYTES_MAX = 4096;
/** All rights of a file but its owner's. */
export const OTHERS = 0o077;

const keyFile = z.strictObject({
  kind: z.enum(['scatterhoard host key', 'scatterhoard admin key']),
  host: z.string().optional(),
  public: z.string().regex(/^[0-9a-f]{64}$/),
  seed: z.string().regex(/^[0-9a-f]{64}$/),
});
type KeyFile = z.output<typeof keyFile>;

/**
 * Keys are made under the state folder's lock (new-state.ts, or the service's own): else two could be made at once.
 * @throws ClusterError IDENTITY_EXISTS: a key is never overwritten.
 */
export async function createIdentity(stateDir: string): Promise<Identity> {
  if ((await readKey(stateDir, IDENTITY_FILE, 'scatterhoard host key')) !== undefined) {
    throw new ClusterError('IDENTITY_EXISTS', `${join(stateDir, IDENTITY_FILE)} exists already and was left as it is`, {
      blame: 'operator',
    });
  }
  const { publicKey, seed } = generateKeyPair();
  const host = hostIdOf(publicKey);
  await writeKey(stateDir, IDENTITY_FILE, {
    kind: 'scatterhoard host key',
    host,
    public: hexOf(publicKey),
    seed: hexOf(seed),
  });
  return identityFrom(seed, host);
}

/** A key that others can read is read all the same: by whoever only looks, and uses no key. */
interface KeyReading {
  readonly evenExposed?: boolean;
}

/** This host's identity; `undefined` when none was made here. @throws ClusterError KEY_DAMAGED, KEY_EXPOSED */
export async function loadIdentity(stateDir: string, reading: KeyReading = {}): Promise<Identity | undefined> {
  const key = await readKey(stateDir, IDENTITY_FILE, 'scatterhoard host key', reading);
  return key === undefined ? undefined : identityFrom(bytesOf(key.seed), parseHostId(key.host ?? ''));
}

/** For `init` and `join`: an identity left by an earlier try that failed is as good as a new one. */
export async function loadOrCreateIdentity(stateDir: string): Promise<Identity> {
  return (await loadIdentity(stateDir)) ?? (await createIdentity(stateDir));
}

export interface AdminKey {
  readonly signer: Signer;
  /** The host on which it was made; undefined when its file does not say. */
  readonly madeOn: string | undefined;
}

/** Makes an admin key, or takes the one that is there: of an `init` that did not finish, or put here by a person. */
export async function loadOrCreateAdminKey(stateDir: string, host: HostId): Promise<AdminKey> {
  const found = await readKey(stateDir, ADMIN_FILE, 'scatterhoard admin key');
  if (found !== undefined) return { signer: signerFromSeed(bytesOf(found.seed)), madeOn: found.host };
  const { publicKey, seed } = generateKeyPair();
  await writeKey(stateDir, ADMIN_FILE, {
    kind: 'scatterhoard admin key',
    host,
    public: hexOf(publicKey),
    seed: hexOf(seed),
  });
  return { signer: signerFromSeed(seed), madeOn: host };
}

/** The admin key of this host; `undefined` when it is no admin host. @throws ClusterError KEY_DAMAGED, KEY_EXPOSED */
export async function loadAdminKey(stateDir: string, reading: KeyReading = {}): Promise<Signer | undefined> {
  const key = await readKey(stateDir, ADMIN_FILE, 'scatterhoard admin key', reading);
  return key === undefined ? undefined : signerFromSeed(bytesOf(key.seed));
}

/** The admin key as the text of its file, for a copy that is kept elsewhere; `undefined` when it is not here. @throws as `loadAdminKey` */
export async function exportAdminKey(
  stateDir: string,
): Promise<{ readonly text: string; readonly publicKey: string } | undefined> {
  const key = await readKey(stateDir, ADMIN_FILE, 'scatterhoard admin key');
  return key === undefined ? undefined : { text: keyText(key), publicKey: key.public };
}

function identityFrom(seed: Uint8Array, host: HostId): Identity {
  const signer = signerFromSeed(seed);
  return { host, peer: peerNameOf(signer.publicKey), seed, signer };
}

async function writeKey(stateDir: string, name: string, key: KeyFile): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: FOLDER_MODE });
  await writeDurable(join(stateDir, name), keyText(key));
}

const keyText = (key: KeyFile): string => `${JSON.stringify(key, undefined, 2)}\n`;

async function readKey(
  stateDir: string,
  name: string,
  kind: KeyFile['kind'],
  reading: KeyReading = {},
): Promise<KeyFile | undefined> {
  const path = join(stateDir, name);
  const text = await readSecret(path, reading);
  if (text === undefined) return undefined;
  const damaged = (what: string, cause?: unknown) =>
    new ClusterError('KEY_DAMAGED', `${path} is damaged: ${what}. It was left as it is; put it back from a copy`, {
      blame: 'operator',
      cause,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged('it is not whole', cause);
  }
  const read = keyFile.safeParse(value);
  if (!read.success) throw damaged('a field is missing or malformed', read.error);
  const key = read.data;
  if (key.kind !== kind) throw damaged(`it is a ${key.kind}, not a ${kind}`);
  if (kind === 'scatterhoard host key' && !/^[0-9a-f]{32}$/.test(key.host ?? '')) throw damaged('it has no host id');
  if (hexOf(signerFromSeed(bytesOf(key.seed)).publicKey) !== key.public)
    throw damaged('seed and public key do not belong together');
  return key;
}

async function readSecret(path: string, { evenExposed = false }: KeyReading): Promise<string | undefined> {
  const { O_NOFOLLOW, O_RDONLY } = constants;
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, O_RDONLY | O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { mode, size } = await file.stat();
    if ((mode & OTHERS) !== 0 && !evenExposed) {
      const shown = (mode & 0o777).toString(8);
      throw new ClusterError(
        'KEY_EXPOSED',
        `${path} can be read by others (mode ${shown}); nothing was done. If nobody else has read it, run chmod 600 on it`,
        {
          blame: 'operator',
        },
      );
    }
    return size > KEY_FILE_BYTES_MAX ? '' : await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
