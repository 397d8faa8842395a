/**
 * Count copies: how many hosts truly hold a content, found by walking the disks and hashing, in a process of its own.
 *
 * It asks nobody and shares nothing with the program but the layout of a store (`.blobs/ab/<BLAKE3>`), so what it says is
 * evidence. A blob whose bytes do not hash to its name is no copy: it is told of as wrong.
 *
 * Run as a program (`node count-copies.js`, a question as JSON on stdin) it prints one JSON line a file; `countCopies`
 * and `contentsOf` start that process and add its lines up.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import blake3 from 'blake3-wasm';

export interface StorePlace {
  readonly host: string;
  readonly path: string;
}

export interface CopyCount {
  /** Hash in hex → its size, and the hosts of which a store holds it whole, each once. */
  readonly copies: ReadonlyMap<string, { readonly bytes: number; readonly hosts: readonly string[] }>;
  /** What lies in `.blobs` and should not: a sentence each. */
  readonly wrong: readonly string[];
}

/** Walks and hashes everything in these stores. */
export async function countCopies(stores: readonly StorePlace[]): Promise<CopyCount> {
  const copies = new Map<string, { bytes: number; hosts: string[] }>();
  const wrong: string[] = [];
  for (const found of await ask({ stores })) {
    if (found.wrong !== undefined) {
      wrong.push(found.wrong);
      continue;
    }
    const { hash, bytes, host = '' } = found;
    const copy = copies.get(hash) ?? { bytes, hosts: [] };
    if (!copy.hosts.includes(host)) copy.hosts.push(host);
    copies.set(hash, copy);
  }
  return { copies, wrong };
}

/** The contents of a folder's regular files: hash in hex → size. Empty files have no content to copy. */
export async function contentsOf(folder: string): Promise<ReadonlyMap<string, number>> {
  const found = await ask({ folder });
  const [failure] = found.flatMap(({ wrong }) => wrong ?? []);
  if (failure !== undefined) throw new Error(failure);
  return new Map(found.filter(({ bytes }) => bytes > 0).map(({ hash, bytes }) => [hash, bytes]));
}

type Question = { readonly stores: readonly StorePlace[] } | { readonly folder: string };

interface Found {
  readonly hash: string;
  readonly bytes: number;
  readonly host?: string;
  readonly wrong?: string;
}

function ask(question: Question): Promise<Found[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', code => {
      if (code !== 0) {
        reject(new Error(`count-copies ended with ${code}`));
        return;
      }
      const lines = Buffer.concat(chunks).toString().split('\n');
      resolve(lines.filter(line => line !== '').map(line => JSON.parse(line) as Found));
    });
    child.stdin.end(JSON.stringify(question));
  });
}

// ------------------------------------------------------------------------------------------------------- the other process

/** blake3-wasm is slower when it is fed more at once. */
const FEED_BYTES = 64 * 1024;
const SLASH = Buffer.from('/');

function main(question: Question): void {
  if ('folder' in question) {
    for (const path of filesBelow(Buffer.from(question.folder))) tell(hashed(path));
    return;
  }
  for (const { host, path } of question.stores) {
    for (const file of filesBelow(Buffer.from(`${path}/.blobs`))) {
      const found = foundBlob(file);
      if (found !== undefined) tell({ ...found, host });
    }
  }
}

function foundBlob(file: Buffer): Found | undefined {
  const name = file.toString('latin1');
  try {
    const found = hashed(file);
    if (name.endsWith(`/.blobs/${found.hash.slice(0, 2)}/${found.hash}`)) return found;
    return { ...found, wrong: `${name} holds ${found.bytes} bytes that hash to ${found.hash}` };
  } catch (error) {
    // The service may take a file away or put one in place while we walk: what is gone now is no copy.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function hashed(path: Buffer): Found {
  const hash = blake3.createHash();
  const buffer = Buffer.allocUnsafe(FEED_BYTES);
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  let bytes = 0;
  try {
    for (let count = readSync(file, buffer); count > 0; count = readSync(file, buffer)) {
      hash.update(buffer.subarray(0, count));
      bytes += count;
    }
  } finally {
    closeSync(file);
  }
  return { hash: hash.digest('hex'), bytes };
}

function* filesBelow(folder: Buffer): Generator<Buffer> {
  let names: Buffer[];
  try {
    names = readdirSync(folder, 'buffer');
  } catch (error) {
    // A store that was never mounted has no blobs.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    const path = Buffer.concat([folder, SLASH, name]);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) yield* filesBelow(path);
    else if (stat?.isFile()) yield path;
  }
}

const tell = (found: Found): boolean => process.stdout.write(`${JSON.stringify(found)}\n`);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Whoever asked has gone, and with it the reason to go on.
  process.stdout.on('error', () => process.exit(1));
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  main(JSON.parse(Buffer.concat(chunks).toString()) as Question);
}
