/**
 * Control server: serves a `Service` over STATE/control.sock (`control-wire.ts` describes the wire).
 *
 * Anybody who can open the socket may do what the service can do, so its mode is 0660 and its group `scatterhoard`,
 * where that group exists. Requests are checked here, once; the service gets well-formed ones. A client that goes away
 * cancels its call, because nobody else reads the answer.
 *
 * Driven by the daemon, which has the state folder's lock and so is the only one to replace a socket there.
 */

import { chmod, chown, lstat, readFile, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { CONTENT_BLOBS_MAX, type ContentRequest } from '../catalog/restore-content.js';
import { KEEP_KINDS, type KeepKind } from '../catalog/retention.js';
import { ClusterError, messageOf } from '../core/fault.js';
import { parseBlobId, parseObjectId, parseParcelId, parseSourceId } from '../core/ids.js';
import { abortWith } from '../platform/abort-with.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { sendContent } from './content-wire.js';
import {
  CONTROL_SOCKET_NAME,
  checkControlPath,
  fromJson,
  type PlainMethod,
  REQUEST_BYTES_MAX,
  routeOf,
  type StreamMethod,
  toErrorRecord,
  toJson,
} from './control-wire.js';
import type { Service } from './service.js';

export interface ControlServer {
  readonly path: string;
  /** Ends all calls and takes the socket away. */
  close(): Promise<void>;
}

export interface ControlServerOptions {
  readonly stateDir: string;
  readonly service: Service;
  readonly log: Logger;
}

/**
 * How much of an answer one call hands to the kernel, and how much is kept ready for a slow client: Node's 16 KiB are
 * three small files.
 */
const ANSWER_BYTES_AHEAD = 256 * 1024;
/** A local socket answers at once or not at all; this only bounds a service that hangs. */
const PROBE_MS = 2_000;
const SOCKET_GROUP = 'scatterhoard';
/** A spec: a source, a snapshot and a path of 4096 bytes, each byte written as `\xHH`. */
const SPEC_CHARS_MAX = 20_000;
const NAME_CHARS_MAX = 200;
const PATH_CHARS_MAX = 4096;
const PATH_BYTES_MAX = 4096;
/** Files of one source that a drill tries; for more, make a restore. */
const DRILL_FILES_MAX = 10_000;
/** Stores that one command names. */
const STORES_MAX = 100;
/** As in a policy. */
const KEEP_MAX = 10_000;

const nothing = z.undefined();
const name = z.string().min(1).max(NAME_CHARS_MAX);
const localPath = z.string().min(1).max(PATH_CHARS_MAX);
const quantity = z.string().min(1).max(NAME_CHARS_MAX);
const spec = z.string().min(1).max(SPEC_CHARS_MAX);
const pathBytes = z
  .instanceof(Buffer)
  .refine(path => path.length <= PATH_BYTES_MAX, `longer than ${PATH_BYTES_MAX} bytes`);
const sourceId = z.string().transform(checked(parseSourceId));
const parcelId = z.string().transform(checked(parseParcelId));
const objectId = z.string().transform(checked(parseObjectId));

const keepCount = z.int().min(0).max(KEEP_MAX);
const keepCounts = Object.fromEntries(KEEP_KINDS.map(kind => [kind, keepCount])) as Record<KeepKind, typeof keepCount>;

const trees = z.strictObject({ spec, stores: z.array(localPath).max(STORES_MAX) });

/** What each call may be asked. `exactOptional`: a field that is there has a value. */
const REQUESTS = {
  status: nothing,
  statusChanges: nothing,
  hosts: nothing,
  adminRequest: nothing,
  adminAdd: z.strictObject({ host: name, line: z.string().max(PATH_CHARS_MAX) }),
  leaving: nothing,
  pause: z.strictObject({ forMs: z.int().min(1) }),
  resume: nothing,
  configShow: nothing,
  configDraft: nothing,
  configHistory: nothing,
  configAt: z.strictObject({ version: z.int().min(1) }),
  configRollback: z.strictObject({ version: z.int().min(1), yes: z.boolean() }),
  timing: nothing,
  configApply: z.strictObject({
    text: z.string(),
    madeFrom: z.string().exactOptional(),
    fileName: localPath,
    yes: z.boolean(),
  }),
  configPlan: z.strictObject({ text: z.string(), fileName: localPath }),
  configAddStore: z.strictObject({
    host: name,
    path: localPath,
    limit: quantity.exactOptional(),
    reserve: quantity.exactOptional(),
  }),
  configAddSource: z.strictObject({
    host: name,
    name,
    path: localPath,
    copies: z.int().min(1).max(32).exactOptional(),
    every: quantity.exactOptional(),
    watch: z.boolean().exactOptional(),
  }),
  invite: z.strictObject({
    uses: z.int().min(1).max(10_000),
    expiresMs: z.int().min(1),
    trust: z.enum(['trusted', 'untrusted']),
  }),
  drain: z.strictObject({ host: name, path: localPath.exactOptional(), undo: z.boolean() }),
  revoke: z.strictObject({ host: name, yes: z.boolean() }),
  replace: z.strictObject({ host: name, by: name, yes: z.boolean() }),
  backup: z.strictObject({ source: name, acceptChanges: z.boolean(), acceptMissing: z.boolean().optional() }),
  protection: z.strictObject({ sourceId, snapshot: objectId }),
  forget: z.strictObject({
    source: name,
    keep: z.strictObject(keepCounts).exactOptional(),
    now: z.boolean(),
    dryRun: z.boolean(),
    yes: z.boolean(),
  }),
  forgetFuture: z.strictObject({ source: name, dryRun: z.boolean(), yes: z.boolean() }),
  forgetArchived: z.strictObject({ source: name, dryRun: z.boolean(), yes: z.boolean() }),
  snapshots: z.strictObject({ source: name.exactOptional(), held: z.boolean().exactOptional() }),
  replicas: z.strictObject({
    spec: spec.exactOptional(),
    only: z.array(z.enum(['under', 'over', 'missing'])).max(3),
    host: name.exactOptional(),
  }),
  explain: z.strictObject({ parcel: parcelId }),
  placements: nothing,
  scrub: nothing,
  drill: z.strictObject({ source: name.exactOptional(), files: z.int().min(1).max(DRILL_FILES_MAX) }),
  resolve: z.strictObject({ spec, thoughAway: z.literal(true).exactOptional() }),
  entries: z.strictObject({ sourceId, snapshot: objectId, under: pathBytes }),
  liveDiff: z.strictObject({ spec }),
  makeTrees: trees,
  removeTrees: trees,
  content: z
    .strictObject({
      parcel: parcelId,
      blobs: z
        .array(z.string().transform(checked(parseBlobId)))
        .min(1)
        .max(CONTENT_BLOBS_MAX),
      from: z.int().min(1).exactOptional(),
    })
    .refine(({ blobs, from }) => from === undefined || blobs.length === 1, {
      path: ['from'],
      message: 'it belongs to one blob, but several blobs are asked for',
    }),
} as const satisfies Record<keyof Service, z.ZodType>;

const STREAMS: ReadonlySet<keyof Service> = new Set<StreamMethod>([
  'statusChanges',
  'configHistory',
  'protection',
  'replicas',
  'placements',
  'scrub',
  'drill',
  'entries',
  'liveDiff',
]);

/** `parse…` of core as a zod transform. */
function checked<Id>(parse: (text: string) => Id): (text: string, context: z.RefinementCtx) => Id {
  return (text, context) => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  };
}

/** Requests are checked by zod. Without this, fastify loads two JSON schema compilers at each start: 60 ms. */
function noSchemas(): never {
  throw new Error('bug: a route of the control server has a JSON schema');
}

/** @throws ClusterError CONTROL_PATH_TOO_LONG, CONTROL_SOCKET_IN_USE, CONTROL_PATH_TAKEN */
export async function startControlServer({ stateDir, service, log }: ControlServerOptions): Promise<ControlServer> {
  const path = join(stateDir, CONTROL_SOCKET_NAME);
  checkControlPath(path);
  await clearStaleSocket(path);

  const closing = lastingAbort();
  const app = fastify({
    bodyLimit: REQUEST_BYTES_MAX,
    logger: false,
    forceCloseConnections: true,
    http: { highWaterMark: ANSWER_BYTES_AHEAD },
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: unknown, body: string | Buffer) => {
      try {
        return fromJson(body.toString());
      } catch (cause) {
        throw new ClusterError('CONTROL_BAD_REQUEST', 'the request is not JSON', { blame: 'operator', cause });
      }
    },
  );
  app.setErrorHandler((error, _request, reply) => {
    log.debug({ code: toErrorRecord(error).code }, 'control call failed');
    return sendError(reply, error);
  });
  app.setNotFoundHandler((request, reply) => {
    const text = `the service does not know ${request.method} ${request.url.slice(0, 100)}: it is another version. Restart it.`;
    return sendError(reply, new ClusterError('CONTROL_PROTOCOL', text, { blame: 'operator' }));
  });
  for (const method of Object.keys(REQUESTS) as (keyof Service)[])
    addRoute({ app, method, service, closing: closing.signal });

  await app.listen({ path });
  await chmod(path, 0o660);
  await giveToGroup(path, log);
  return {
    path,
    async close() {
      closing.abort(new ClusterError('SERVICE_STOPPING', 'the service is stopping', { blame: 'passing' }));
      await app.close();
    },
  };
}

interface Route {
  readonly app: FastifyInstance<Server>;
  readonly method: keyof Service;
  readonly service: Service;
  readonly closing: AbortSignal;
}

function addRoute({ app, method, service, closing }: Route): void {
  app.post(routeOf(method), async (request, reply) => {
    const asked = REQUESTS[method].safeParse(request.body ?? undefined);
    if (!asked.success) {
      const problems = asked.error.issues.map(issue => `${issue.path.join('.') || 'body'}: ${issue.message}`);
      throw new ClusterError('CONTROL_BAD_REQUEST', `${method}: ${problems.join('; ').slice(0, 1000)}`, {
        blame: 'operator',
      });
    }
    const ended = new AbortController();
    const { signal } = ended;
    const undo = abortWith(ended, [closing]);
    reply.raw.once('close', () => {
      undo();
      ended.abort(new ClusterError('CLIENT_GONE', 'the client went away', { blame: 'passing' }));
    });

    if (method === 'content') {
      reply.hijack();
      return sendContent(reply.raw, service.content(asked.data as ContentRequest, signal));
    }
    if (isStream(method)) {
      // TypeScript cannot tie the union of methods to the union of requests; REQUESTS has one schema a method.
      const call = service[method].bind(service) as (...args: unknown[]) => AsyncIterable<unknown>;
      const records = asked.data === undefined ? call(signal) : call(asked.data, signal);
      return reply.type('application/x-ndjson').send(Readable.from(linesOf(records), { objectMode: false }));
    }
    const call = service[method as PlainMethod].bind(service) as (...args: unknown[]) => Promise<unknown>;
    const answer = await (asked.data === undefined ? call(signal) : call(asked.data, signal));
    return reply.type('application/json').send(toJson(answer));
  });
}

const isStream = (method: keyof Service): method is StreamMethod => STREAMS.has(method);

async function* linesOf(records: AsyncIterable<unknown>): AsyncIterable<string> {
  try {
    for await (const record of records) yield `${toJson(record)}\n`;
  } catch (error) {
    // Reported to the client. If the client is gone, nobody reads this, and nobody needs to.
    yield `${toJson(toErrorRecord(error))}\n`;
  }
}

function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  const record = toErrorRecord(error);
  const status = record.blame === 'operator' ? 400 : 500;
  return reply.status(status).type('application/json').send(toJson(record));
}

/** Removes a socket that nobody answers on because its service was killed. Anything else at that path is left. */
async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(ignoreAbsent);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ClusterError(
      'CONTROL_PATH_TAKEN',
      `${path} exists but is not a socket. It was left alone: move it away.`,
      {
        blame: 'operator',
      },
    );
  }
  if (await answers(path)) {
    throw new ClusterError(
      'CONTROL_SOCKET_IN_USE',
      `a service is already running on this state folder: it answers on ${path}`,
      {
        blame: 'operator',
      },
    );
  }
  await unlink(path).catch(ignoreAbsent);
}

function ignoreAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

/** Only a refusal proves that nobody listens; a service that hangs or forbids access is still a service. */
function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ path, timeout: PROBE_MS });
    const settle = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

async function giveToGroup(path: string, log: Logger): Promise<void> {
  const gid = await groupNumber(SOCKET_GROUP);
  if (gid === undefined) return;
  try {
    await chown(path, -1, gid);
  } catch (error) {
    log.warn(
      { err: error, path },
      `the control socket could not be given to the group ${SOCKET_GROUP}: only this user can use it`,
    );
  }
}

async function groupNumber(group: string): Promise<number | undefined> {
  // macOS keeps its groups elsewhere; there the socket stays with the service's own group.
  const lines = await readFile('/etc/group', 'utf8').catch(ignoreAbsent);
  const fields = lines
    ?.split('\n')
    .map(line => line.split(':'))
    .find(([name]) => name === group);
  const gid = Number(fields?.[2]);
  return fields !== undefined && Number.isInteger(gid) ? gid : undefined;
}
