/**
 * Control wire: how a `Service` call crosses the control socket.
 *
 * HTTP on STATE/control.sock. Every call is `POST /2/<method>` with one JSON value as its body. A plain answer is one JSON
 * value; a stream of records is NDJSON, one value a line; content is binary frames (content-wire.ts). An error is the record
 * `{ message_type: 'error', code, message, blame }`: the whole answer with a status ≥ 400, or the last line (last frame) of
 * a stream that had begun. A stream that breaks off without the end of its HTTP body was cut.
 *
 * JSON has no bytes and no bigints, so they stand as `{ "$bytes": base64 }` and `{ "$int": digits }`.
 *
 * Both ends are this program on one machine, so what the *server* says is trusted; what a *client* says is checked
 * (`control-server.ts`), because the socket is open to a whole group.
 */
import { dirname } from 'node:path';
import { inWords } from '../core/disk-trouble.js';
import { type Blame, ClusterError, messageOf } from '../core/fault.js';
import type { Service } from './service.js';
import { notRunningText } from './state-owner.js';

/** Raised when the shapes change, so that a command of another release reports this instead of misreading. */
const CONTROL_VERSION = 2;
export const CONTROL_SOCKET_NAME = 'control.sock';
/** sockaddr_un holds 104 bytes on macOS and 108 on Linux, and Node silently truncates a longer path. */
export const CONTROL_PATH_BYTES_MAX = 100;
/** The largest request is a policy text. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
/** One line of NDJSON: the largest record is a status of some hundred hosts. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

type MethodsThat<Result> = {
  [Method in keyof Service]: ReturnType<Service[Method]> extends Result ? Method : never;
}[keyof Service];

/** Calls with one answer … */
export type PlainMethod = MethodsThat<Promise<unknown>>;
/** … and calls with a stream of records. `content` stands by itself. */
export type StreamMethod = Exclude<MethodsThat<AsyncIterable<unknown>>, 'content'>;

export const routeOf = (method: keyof Service): string => `/${CONTROL_VERSION}/${method}`;

/** @throws ClusterError CONTROL_PATH_TOO_LONG */
export function checkControlPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > CONTROL_PATH_BYTES_MAX) {
    throw new ClusterError(
      'CONTROL_PATH_TOO_LONG',
      `the control socket's path has ${bytes} bytes, but sockets allow ${CONTROL_PATH_BYTES_MAX}: ${path}. ` +
        'Nothing was changed. Use a state folder with a shorter path (--state DIR or $CLUSTER_STATE).',
      { blame: 'operator' },
    );
  }
}

// ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export function toJson(value: unknown): string {
  return (
    JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
      // `shown` has already been through toJSON, which Buffer also has; so look at the value itself.
      const own = this[key];
      if (own instanceof Uint8Array) return { $bytes: Buffer.from(own).toString('base64') };
      if (typeof own === 'bigint') return { $int: own.toString() };
      if (own instanceof Map) return { $map: [...own] };
      return shown;
    }) ?? 'null'
  );
}

/** @throws SyntaxError on anything that is not JSON */
export function fromJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('$bytes' in value && typeof value.$bytes === 'string') return Buffer.from(value.$bytes, 'base64');
    if ('$int' in value && typeof value.$int === 'string') return BigInt(value.$int);
    if ('$map' in value && Array.isArray(value.$map)) return new Map(value.$map as [unknown, unknown][]);
    return value;
  });
}

// ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ErrorRecord {
  readonly message_type: 'error';
  readonly code: string;
  readonly message: string;
  readonly blame?: Blame;
}

/** Also for errors that carry a code without being a `ClusterError` (MALFORMED_ID …). Trouble of a disk is put in words. */
export function toErrorRecord(thrown: unknown): ErrorRecord {
  const error = inWords(thrown);
  const message = messageOf(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL';
  const blame = error instanceof ClusterError ? error.blame : undefined;
  return { message_type: 'error', code, message, ...(blame && { blame }) };
}

export function isErrorRecord(value: unknown): value is ErrorRecord {
  return typeof value === 'object' && value !== null && 'message_type' in value && value.message_type === 'error';
}

export function errorFrom({ code, message, blame }: ErrorRecord): ClusterError {
  return new ClusterError(code, message, { blame: blame ?? 'passing' });
}

export function protocolError(what: string): ClusterError {
  return new ClusterError(
    'CONTROL_PROTOCOL',
    `the service sent ${what}: it is probably of another version. Restart it ('cluster up') from the same installation.`,
    { blame: 'passing' },
  );
}

/** Nobody took the call up. */
export function connectionError(error: NodeJS.ErrnoException, path: string): ClusterError {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new ClusterError(
        'SERVICE_NOT_RUNNING',
        `the service is not running here: nobody answers on ${path}. ${notRunningText(dirname(path))}`,
        {
          blame: 'operator',
          cause: error,
        },
      );
    case 'EACCES':
    case 'EPERM':
      return controlForbidden(path, error);
    default:
      return serviceGone(error);
  }
}

/** The socket, or the folder that it lies in, is not for this user. */
export function controlForbidden(path: string, cause: unknown): ClusterError {
  return new ClusterError(
    'CONTROL_FORBIDDEN',
    `this user may not use ${path}; nothing was done. Run the command with sudo, or as the service's user.`,
    { blame: 'operator', cause },
  );
}

/** Somebody did, and ended in the middle. */
export function serviceGone(cause: unknown): ClusterError {
  return new ClusterError(
    'SERVICE_GONE',
    'the service ended while it was answering. Look at its log, start it again and repeat the command.',
    {
      blame: 'passing',
      cause,
    },
  );
}
