/**
 * Policy parts: cuts the policy's text into pieces, one for each host, so that each piece has its own hash in the
 * signed configuration and a host that may not see the others' sections can still check its own.
 *
 * The text is cut between lines and never rewritten: the pieces joined in order are the text as its author wrote it,
 * comments and all. What precedes the first host and follows the last (cluster, defaults, timing) are pieces too. Any
 * selection of host pieces between these two is again a valid policy, which `splitPolicy` proves before it returns.
 * Only a text that cannot be cut like this (hosts on one line, in braces) is first converted to block form.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isNode, isScalar } from 'yaml';
import { ClusterError } from '../core/fault.js';
import { readDocument } from './policy-document.js';

/** `head` and `tail` frame the host pieces. Order matters. */
export type PolicyPartName = 'head' | 'tail' | `host:${string}`;

export interface PolicyPart {
  readonly name: PolicyPartName;
  readonly text: string;
}

export const hostPartName = (host: string): PolicyPartName => `host:${host}`;

/**
 * Cuts a valid policy (see `parsePolicy`) into `head`, one `host:<name>` a host in the text's order, and `tail`.
 *
 * @throws ClusterError POLICY_LAYOUT for a text that cannot be cut even in block form.
 */
export function splitPolicy(text: string): readonly PolicyPart[] {
  for (const layout of [text, inBlockForm(text)]) {
    const parts = cut(layout);
    if (parts !== undefined && standsAlone(parts, layout)) return parts;
  }
  throw new ClusterError(
    'POLICY_LAYOUT',
    'the policy cannot be cut into one piece a host; write `hosts:` as a block, each host on a line of its own. Nothing was changed',
    { blame: 'operator' },
  );
}

/** Joins pieces into the text; pieces may be missing, which leaves those hosts out. */
export const joinPolicy = (parts: readonly PolicyPart[]): string => parts.map(part => part.text).join('');

/** Cuts the text; `undefined` when the hosts are not written as a block, or cannot be cut. */
function cut(text: string): readonly PolicyPart[] | undefined {
  const document = readDocument(text);
  const root = document.contents;
  if (!isMap(root)) return undefined;
  const at = root.items.findIndex(pair => isScalar(pair.key) && pair.key.value === 'hosts');
  const hosts = root.items[at]?.value;
  if (!isMap(hosts) || hosts.items.length === 0) return [{ name: 'head', text }];
  if (root.flow === true || hosts.flow === true) return undefined;

  const lines = new Lines(text);
  const starts: number[] = [];
  const names: string[] = [];
  let indent = 0;
  for (const pair of hosts.items) {
    if (!isScalar(pair.key) || typeof pair.key.value !== 'string') return undefined;
    const offset = pair.key.range?.[0] ?? 0;
    const line = lines.at(offset);
    indent = offset - lines.offset(line);
    if (indent === 0 || lines.text(line).slice(0, indent).trim() !== '') return undefined; // something else precedes it
    starts.push(line);
    names.push(pair.key.value);
  }

  const hostsKey = root.items[at]?.key;
  const first = lines.at(isNode(hostsKey) ? (hostsKey.range?.[0] ?? 0) : 0) + 1;
  // Comment lines directly above a key, and indented no deeper than it, belong to that key.
  const about = (line: number): boolean => {
    const [, space, rest] = /^( *)(.*)/.exec(lines.text(line)) ?? [];
    return rest?.startsWith('#') === true && (space?.length ?? 0) <= indent;
  };
  const bounds = starts.map((start, index) => {
    const floor = index === 0 ? first : (starts[index - 1] ?? 0) + 1;
    let line = start;
    while (line > floor && about(line - 1)) line--;
    return line;
  });

  const next = root.items[at + 1]?.key;
  let tail = isNode(next) ? lines.at(next.range?.[0] ?? 0) : lines.count;
  const lastStart = starts.at(-1) ?? 0;
  // Blank lines and unindented comments after the last host, or at the end, belong to what follows the hosts.
  while (tail > lastStart + 1 && /^(?:#.*|\s*|\.\.\.\s*)$/.test(lines.text(tail - 1))) tail--;

  const offsets = [...bounds, tail].map(line => lines.offset(line));
  return [
    { name: 'head', text: text.slice(0, offsets[0]) },
    ...names.map(
      (name, index): PolicyPart => ({ name: hostPartName(name), text: text.slice(offsets[index], offsets[index + 1]) }),
    ),
    { name: 'tail', text: text.slice(offsets.at(-1)) },
  ];
}

/** Offsets of lines, counted from 0. */
class Lines {
  readonly #text: string;
  readonly #offsets: number[] = [0];

  constructor(text: string) {
    this.#text = text;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) this.#offsets.push(at + 1);
  }

  get count(): number {
    return this.#offsets.length;
  }

  offset(line: number): number {
    return this.#offsets[line] ?? this.#text.length;
  }

  text(line: number): string {
    return this.#text.slice(this.offset(line), this.offset(line + 1)).replace(/\r?\n$/, '');
  }

  at(offset: number): number {
    let low = 0;
    let high = this.#offsets.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offset(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/**
 * With the frame around it, every host piece must say about its host what the whole text says, and the frame alone what
 * the whole says without hosts.
 */
function standsAlone(parts: readonly PolicyPart[], text: string): boolean {
  const whole = readPlain(text);
  const framed = (part?: PolicyPart) =>
    readPlain(joinPolicy(parts.filter(({ name }) => name === 'head' || name === 'tail' || name === part?.name)));
  const { hosts = {}, ...rest } = whole ?? {};
  const pieces = parts.filter(part => part.name.startsWith('host:'));
  if (whole === undefined || pieces.length !== Object.keys(hosts ?? {}).length) return false;
  const { hosts: none, ...frame } = framed() ?? {};
  if (!isDeepStrictEqual(frame, rest) || (pieces.length > 0 && !isDeepStrictEqual(none ?? {}, {}))) return false;
  return pieces.every(piece => {
    const name = piece.name.slice('host:'.length);
    const { hosts: alone, ...around } = framed(piece) ?? {};
    return isDeepStrictEqual(alone, { [name]: hosts?.[name] }) && isDeepStrictEqual(around, rest);
  });
}

interface PlainPolicy {
  readonly hosts?: Readonly<Record<string, unknown>> | null;
  readonly [key: string]: unknown;
}

/** What a text says, before any of it is interpreted; undefined when it cannot be read, or is no map. */
export function readPlain(text: string): PlainPolicy | undefined {
  const document = readDocument(text);
  if (document.errors.length > 0) return undefined;
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  // A policy is a map, which `toJS` makes a plain object.
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as PlainPolicy) : undefined;
}

function inBlockForm(text: string): string {
  const document = readDocument(text);
  const root = document.contents;
  if (isMap(root)) {
    root.flow = false;
    const hosts: unknown = root.get('hosts');
    if (isMap(hosts)) hosts.flow = false;
  }
  return policyText(document);
}

/** Long lines stay long: folding would move comments and break paths. */
export const policyText = (document: Document): string => document.toString({ lineWidth: 0 });
