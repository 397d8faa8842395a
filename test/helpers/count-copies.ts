/**
 * Count copies: how many hosts truly hold a content, found by walking the disks and hashing, in a process of its own.
 *
 * It asks no host and shares nothing with the program but the layout of a store (`.blobs/ab/<BLAKE3>`), so its answer
 * is evidence. A blob whose bytes do not hash to its name is not a copy: it is reported as wrong.
 *
 * Run as a program (`node count-copies.js`) it answers each question, a line of JSON on stdin, with one line of JSON.
 * `countCopies` and `contentsOf` start that process on the first question, ask it again and again, and add up its
 * answers; it ends with the process that asks.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import blake3 from 'blake3-wasm';

export interface StorePlace {
  readonly host: string;
  readonly path: string;
}

export interface CopyCount {
  /** Hash in hex → the content's size, and the hosts that hold it whole in a store, each once. */
  readonly copies: ReadonlyMap<string, { readonly bytes: number; readonly hosts: readonly string[] }>;
  /** Files in `.blobs` that should not be there: a sentence each. */
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

/** Asks one question after the other. */
let turn: Promise<unknown> = Promise.resolve();
let counting: { readonly child: ChildProcessByStdio<Writable, Readable, null>; readonly lines: Interface } | undefined;

function ask(question: Question): Promise<Found[]> {
  const answer = turn.then(() => askNow(question));
  turn = answer.catch(() => undefined); // the caller gets the error through `answer`
  return answer;
}

function askNow(question: Question): Promise<Found[]> {
  counting ??= startCounting();
  const { child, lines } = counting;
  return new Promise((resolve, reject) => {
    // This process must not end while somebody waits for an answer.
    hold(child, true);
    const done = (): void => {
      lines.off('line', answered);
      child.off('close', ended);
      hold(child, false);
    };
    const answered = (line: string): void => {
      done();
      resolve(JSON.parse(line) as Found[]);
    };
    const ended = (code: number | null): void => {
      done();
      counting = undefined;
      reject(new Error(`count-copies ended with ${code}`));
    };
    lines.on('line', answered);
    child.on('close', ended);
    child.stdin.write(`${JSON.stringify(question)}\n`);
  });
}

function startCounting(): NonNullable<typeof counting> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], { stdio: ['pipe', 'pipe', 'inherit'] });
  // Whoever waits for an answer gets the reason why the process ended.
  child.stdin.on('error', () => {});
  return { child, lines: createInterface(child.stdout) };
}

function hold(child: ChildProcessByStdio<Writable, Readable, null>, isHeld: boolean): void {
  for (const one of [child, child.stdin as unknown as Socket, child.stdout as unknown as Socket]) {
    if (isHeld) one.ref();
    else one.unref();
  }
}

// ------------------------------------------------------------------------------------------------------- the other process

/** blake3-wasm is slower with larger pieces. */
const FEED_BYTES = 64 * 1024;
const SLASH = Buffer.from('/');

function* answerTo(question: Question): Generator<Found> {
  if ('folder' in question) {
    for (const path of filesBelow(Buffer.from(question.folder))) yield hashed(path);
    return;
  }
  for (const { host, path } of question.stores) {
    for (const file of filesBelow(Buffer.from(`${path}/.blobs`))) {
      const found = foundBlob(file);
      if (found !== undefined) yield { ...found, host };
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
    // The service may remove a file or put one in place during the walk: a file that is gone now is not a copy.
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // The process that asked has ended, so there is no reason to go on.
  process.stdout.on('error', () => process.exit(1));
  for await (const line of createInterface(process.stdin))
    process.stdout.write(`${JSON.stringify([...answerTo(JSON.parse(line) as Question)])}\n`);
}
