/**
 * Control client: the `Service` of a running host, as seen from another process on the same machine.
 *
 * Every method behaves as `service.ts` says; on top of that each can throw SERVICE_NOT_RUNNING (nobody answers on the
 * socket), CONTROL_FORBIDDEN (somebody does, but not to this user) and SERVICE_GONE (the service ended during the call).
 *
 * Plain node:http: undici takes 90 ms to load where this takes 4 (measured, Node 20, x64), and a command line is judged
 * by how soon it answers.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { specInUtc } from '../catalog/source-spec.js';
import { ClusterError } from '../core/fault.js';
import { contentAt } from './content-client.js';
import {
  CONTROL_SOCKET_NAME,
  checkControlPath,
  connectionError,
  errorFrom,
  fromJson,
  isErrorRecord,
  LINE_BYTES_MAX,
  type PlainMethod,
  protocolError,
  REQUEST_BYTES_MAX,
  routeOf,
  type StreamMethod,
  serviceGone,
  toJson,
} from './control-wire.js';
import type { Service } from './service.js';

/** Makes no connection yet. @throws ClusterError CONTROL_PATH_TOO_LONG */
export function serviceAt(stateDir: string): Service {
  const path = join(stateDir, CONTROL_SOCKET_NAME);
  checkControlPath(path);

  // The server is this same program and the socket is this user's, so its JSON is trusted to have the declared shape.
  const plain = async <Result>(method: PlainMethod, body: unknown, signal: AbortSignal): Promise<Result> =>
    parseAnswer(await textOf(await post({ path, method, body, signal }), signal)) as Result;
  const stream = <Item>(method: StreamMethod, body: unknown, signal: AbortSignal): AsyncIterable<Item> =>
    records<Item>(() => post({ path, method, body, signal }), signal);

  return {
    status: signal => plain('status', undefined, signal),
    statusChanges: signal => stream('statusChanges', undefined, signal),
    hosts: signal => plain('hosts', undefined, signal),
    adminRequest: signal => plain('adminRequest', undefined, signal),
    adminAdd: (request, signal) => plain('adminAdd', request, signal),
    leaving: signal => plain('leaving', undefined, signal),
    pause: (request, signal) => plain('pause', request, signal),
    resume: signal => plain('resume', undefined, signal),
    configHistory: signal => stream('configHistory', undefined, signal),
    configAt: (request, signal) => plain('configAt', request, signal),
    configRollback: (request, signal) => plain('configRollback', request, signal),
    configDraft: signal => plain('configDraft', undefined, signal),
    configShow: signal => plain('configShow', undefined, signal),
    timing: signal => plain('timing', undefined, signal),
    configApply: (request, signal) => plain('configApply', request, signal),
    configPlan: (request, signal) => plain('configPlan', request, signal),
    configAddStore: (request, signal) => plain('configAddStore', request, signal),
    configAddSource: (request, signal) => plain('configAddSource', request, signal),
    invite: (request, signal) => plain('invite', request, signal),
    drain: (request, signal) => plain('drain', request, signal),
    revoke: (request, signal) => plain('revoke', request, signal),
    replace: (request, signal) => plain('replace', request, signal),
    backup: (request, signal) => plain('backup', request, signal),
    protection: (request, signal) => stream('protection', request, signal),
    forget: (request, signal) => plain('forget', request, signal),
    forgetFuture: (request, signal) => plain('forgetFuture', request, signal),
    forgetArchived: (request, signal) => plain('forgetArchived', request, signal),
    snapshots: (request, signal) => plain('snapshots', request, signal),
    replicas: (request, signal) => stream('replicas', inUtc(request), signal),
    explain: (request, signal) => plain('explain', request, signal),
    placements: signal => stream('placements', undefined, signal),
    scrub: signal => stream('scrub', undefined, signal),
    drill: (request, signal) => stream('drill', request, signal),
    resolve: async (request, signal) => plain('resolve', inUtc(request), signal),
    entries: (request, signal) => stream('entries', request, signal),
    liveDiff: (request, signal) => stream('liveDiff', inUtc(request), signal),
    makeTrees: async (request, signal) => plain('makeTrees', inUtc(request), signal),
    removeTrees: async (request, signal) => plain('removeTrees', inUtc(request), signal),
    content: (request, signal) => contentAt(path, request, signal),
  };
}

/**
 * A time is in the time zone of the command, which the service does not know.
 * @throws ClusterError BAD_SOURCE_SPEC, BAD_PATH_TEXT
 */
const inUtc = <Request extends { readonly spec?: string }>(request: Request): Request =>
  request.spec === undefined ? request : { ...request, spec: specInUtc(request.spec) };

const parseAnswer = (text: string): unknown => {
  try {
    return fromJson(text);
  } catch (cause) {
    throw Object.assign(protocolError('an answer that is not JSON'), { cause });
  }
};

interface Call {
  readonly path: string;
  readonly method: keyof Service;
  readonly body: unknown;
  readonly signal: AbortSignal;
}

/** The answer's head; an error answer is thrown. */
async function post({ path, method, body, signal }: Call): Promise<IncomingMessage> {
  signal.throwIfAborted();
  const text = body === undefined ? undefined : toJson(body);
  const bytes = Buffer.byteLength(text ?? '');
  if (bytes > REQUEST_BYTES_MAX) {
    // The service would hang up in the middle of it.
    throw new ClusterError(
      'CONTROL_BAD_REQUEST',
      `${method}: ${bytes} bytes are too many to send; at most ${REQUEST_BYTES_MAX} are allowed`,
      {
        blame: 'operator',
      },
    );
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const request = httpRequest({
      socketPath: path,
      path: routeOf(method),
      method: 'POST',
      headers,
      signal,
      agent: false,
    });
    request.once('response', resolve);
    request.once('error', error => reject(signal.aborted ? signal.reason : connectionError(error, path)));
    request.end(text);
  });
  if (response.statusCode === 200) return response;
  const answer = parseAnswer(await textOf(response, signal));
  throw isErrorRecord(answer) ? errorFrom(answer) : protocolError(`status ${response.statusCode}`);
}

/** The body's chunks. When the body is cut or the caller aborts, this ends with the error that a caller should see. */
async function* chunksOf(response: IncomingMessage, signal: AbortSignal): AsyncIterable<Buffer> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw signal.aborted ? signal.reason : serviceGone(error);
  } finally {
    response.destroy();
  }
}

async function textOf(response: IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(response, signal)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function* records<Item>(open: () => Promise<IncomingMessage>, signal: AbortSignal): AsyncIterable<Item> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunksOf(await open(), signal)) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE, from)) {
      const record = parseAnswer(rest.toString('utf8', from, end));
      if (isErrorRecord(record)) throw errorFrom(record);
      yield record as Item;
      from = end + 1;
    }
    rest = rest.subarray(from);
    if (rest.length > LINE_BYTES_MAX) throw protocolError(`a record of more than ${LINE_BYTES_MAX} bytes`);
  }
  if (rest.length > 0) throw protocolError('a record that breaks off');
}

const NEWLINE = 0x0a;
