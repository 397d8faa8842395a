/**
 * Policy report: everything that is wrong with a policy's text, each with its place: file, line, column and key, the
 * bad value and what is allowed.
 *
 * Each check of the text adds its problems, and the report is ended after each check, since problems found by the next
 * one may only be consequences. Driven by parse-policy.ts.
 */
import { type Document, isMap, isNode, isScalar, isSeq, type LineCounter } from 'yaml';
import { ClusterError } from '../core/fault.js';

/** How many problems are reported at once; further ones are usually consequences. */
const PROBLEMS_MAX = 20;
const BAD_VALUE_CHARACTERS_MAX = 60;

/** One problem. `line` and `column` count from 1. */
export interface PolicyProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** For example `hosts.imac.stores.0.limit`; empty for a problem of the whole text. */
  readonly key: string;
  readonly what: string;
}

export class PolicyError extends ClusterError {
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[], more: number) {
    const lines = problems.map(problemText);
    if (more > 0) lines.push(`… and ${more} more`);
    super('POLICY_INVALID', lines.join('\n'), { blame: 'operator' });
    this.problems = problems;
  }
}

const problemText = ({ file, line, column, key, what }: PolicyProblem): string =>
  `${file}:${line}:${column}: ${key === '' ? '' : `${key}: `}${what}`;

/** For example `hosts`, `imac`, `stores`, 0, `limit`. */
export type KeyPath = readonly (string | number)[];

export class PolicyReport {
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #document: Document.Parsed;
  readonly #problems: PolicyProblem[] = [];

  constructor(file: string, lines: LineCounter, document: Document.Parsed) {
    this.#file = file;
    this.#lines = lines;
    this.#document = document;
  }

  /** Reports a problem at a place in the text, by its offset. */
  at(offset: number, key: string, what: string): void {
    const { line, col } = this.#lines.linePos(offset);
    // The counter gives line 0 for offset 0 of an empty text.
    this.#problems.push({ file: this.#file, line: Math.max(1, line), column: Math.max(1, col), key, what });
  }

  /** Reports a problem with the value under a key, at the position of the value or its nearest parent. */
  value(path: KeyPath, allowed: string): void {
    const { offset, text } = this.#place(path);
    const what = text === undefined ? 'missing' : `bad value ${text}`;
    this.at(offset, path.join('.'), `${what}; allowed: ${allowed}`);
  }

  /** Reports any other problem with a key's value. */
  about(path: KeyPath, what: string): void {
    this.at(this.#place(path).offset, path.join('.'), what);
  }

  /** Reports a problem with a key itself. */
  key(path: KeyPath, what: string): void {
    const parent = this.#node(path.slice(0, -1));
    const pair = isMap(parent) ? parent.items.find(item => keyText(item.key) === String(path.at(-1))) : undefined;
    const offset = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    this.at(offset ?? this.#place(path).offset, path.join('.'), what);
  }

  /** @throws PolicyError when any problem was reported. */
  end(): void {
    if (this.#problems.length === 0) return;
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    throw new PolicyError(sorted.slice(0, PROBLEMS_MAX), Math.max(0, sorted.length - PROBLEMS_MAX));
  }

  #node(path: KeyPath): unknown {
    let node: unknown = this.#document.contents;
    for (const step of path) {
      if (isMap(node)) node = node.items.find(item => keyText(item.key) === String(step))?.value;
      else if (isSeq(node) && typeof step === 'number') node = node.items[step];
      else return undefined;
    }
    return node;
  }

  #place(path: KeyPath): { readonly offset: number; readonly text: string | undefined } {
    for (let length = path.length; length >= 0; length--) {
      const node = this.#node(path.slice(0, length));
      if (!isNode(node) || node.range === undefined || node.range === null) continue;
      if (length < path.length) return { offset: node.range[0], text: undefined };
      return { offset: node.range[0], text: shown(isScalar(node) ? node.value : node.toString()) };
    }
    return { offset: 0, text: undefined };
  }
}

export const keyText = (key: unknown): string => String(isScalar(key) ? key.value : key);

/** A value as shown in a problem. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > BAD_VALUE_CHARACTERS_MAX ? `${text.slice(0, BAD_VALUE_CHARACTERS_MAX)}…` : text;
}
