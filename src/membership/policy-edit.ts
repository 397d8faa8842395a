/**
 * Policy edits: makes the one-line changes (`config add-store`, `config add-source`, `drain HOST:PATH`) as changes of
 * the text, so that what its author wrote stays. Only the piece of the host in question is rewritten, with its comments
 * kept; the others stay byte for byte.
 *
 * Pure: text in, text out. Whoever applies the new text checks all of it with `parsePolicy`.
 */
import { type Document, isMap, isNode, isScalar, isSeq, type YAMLMap } from 'yaml';
import { ClusterError } from '../core/fault.js';
import { readDocument } from './policy-document.js';
import { folder } from './policy-meaning.js';
import { hostPartName, joinPolicy, type PolicyPart, policyText, splitPolicy } from './policy-parts.js';

export interface StoreAddition {
  readonly host: string;
  readonly path: string;
  readonly name?: string;
  /** As the operator wrote it: `300 GB`. At most one of the two. */
  readonly limit?: string;
  readonly reserve?: string;
}

export interface StoreDrain {
  readonly host: string;
  readonly path: string;
  /** True: let it hold copies again. */
  readonly undo: boolean;
}

export interface SourceAddition {
  readonly host: string;
  readonly name: string;
  readonly path: string;
  readonly copies?: number;
  /** As the operator wrote it: `1h`. */
  readonly every?: string;
  readonly watch?: boolean;
}

/** @throws ClusterError STORE_EXISTS when the host has a store at this path. */
export function addStore(text: string, { host, path, name, limit, reserve }: StoreAddition): string {
  return editHost(text, host, (document, section) => {
    const stores = section.get('stores');
    const store = document.createNode(without({ path, name, limit, reserve }));
    if (!isSeq(stores)) {
      section.set('stores', document.createNode([store]));
      return;
    }
    if (stores.items.some(item => isMap(item) && item.get('path') === path)) {
      throw new ClusterError('STORE_EXISTS', `${host} already has a store at ${path}; nothing was changed`, {
        blame: 'operator',
      });
    }
    stores.add(store);
  });
}

/**
 * Returns the same text when the store already is as wanted.
 * @throws ClusterError NO_SUCH_STORE when the host has no store at this path.
 */
export function drainStore(text: string, { host, path, undo }: StoreDrain): string {
  const wanted = folder(path);
  const isDrained = (store: YAMLMap): boolean => store.get('draining') === true;
  let isChanged = false;
  const edited = editHost(text, host, (_, section) => {
    const stores = section.get('stores');
    const all = isSeq(stores) ? stores.items.filter(isMap) : [];
    const store = all.find(item => folder(String(item.get('path'))) === wanted);
    if (store === undefined) {
      const paths = all.map(item => String(item.get('path'))).join(', ');
      throw new ClusterError(
        'NO_SUCH_STORE',
        `${host} has no store at ${path} (${paths === '' ? 'it has none' : `it has: ${paths}`}); nothing was changed`,
        { blame: 'operator' },
      );
    }
    isChanged = isDrained(store) === undo;
    if (undo) store.delete('draining');
    else store.set('draining', true);
  });
  return isChanged ? edited : text;
}

/** @throws ClusterError SOURCE_EXISTS when the host has a source of this name. */
export function addSource(text: string, { host, name, path, copies, every, watch }: SourceAddition): string {
  return editHost(text, host, (document, section) => {
    const source = document.createNode(without({ path, copies, every, watch }));
    const sources = section.get('sources');
    if (!isMap(sources)) {
      section.set('sources', document.createNode({ [name]: source }));
      return;
    }
    if (sources.has(name)) {
      throw new ClusterError('SOURCE_EXISTS', `${host} already has a source ${name}; nothing was changed`, {
        blame: 'operator',
      });
    }
    sources.set(document.createNode(name), source);
  });
}

function without(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

type Edit = (document: Document, section: YAMLMap) => void;

function editHost(text: string, host: string, edit: Edit): string {
  const parts = splitPolicy(text);
  const pieces = parts.filter(part => part.name.startsWith('host:'));
  const own = pieces.find(part => part.name === hostPartName(host));
  const [some] = pieces;
  // The first host of all: there is no other host's text to preserve, so the whole document is edited.
  if (some === undefined) return edited(text, ['hosts', host], edit);

  const indent = ' '.repeat(indentOf(own ?? some));
  const before = own?.text ?? `${host}:\n`;
  const after = edited(before, [host], edit)
    .replace(/^(?=[^\n])/gm, indent)
    .replace(/\n*$/, '\n');
  if (own !== undefined) {
    const blank = /\n(\s*\n)+$/.test(own.text) ? '\n' : '';
    return joinPolicy(parts.map(part => (part === own ? { ...part, text: after + blank } : part)));
  }
  const last = parts.findLastIndex(part => part.name.startsWith('host:'));
  const grown = parts.map(part =>
    part === parts[last] && !part.text.endsWith('\n') ? { ...part, text: `${part.text}\n` } : part,
  );
  return joinPolicy(grown.toSpliced(last + 1, 0, { name: hostPartName(host), text: after }));
}

function edited(text: string, path: readonly string[], edit: Edit): string {
  const document = readDocument(text);
  let section: unknown = document.contents;
  for (const step of path) {
    if (!isMap(section)) throw new TypeError(`bug: ${step} is looked up in no map`);
    const map: YAMLMap = section;
    const pair = map.items.find(({ key }) => isScalar(key) && key.value === step);
    if (!isMap(pair?.value)) {
      const fresh = document.createNode({});
      // `imac: # the one upstairs` with nothing below: the comment is attached to the empty value.
      if (isNode(pair?.value)) fresh.commentBefore = pair.value.comment ?? pair.value.commentBefore ?? null;
      map.set(pair?.key ?? step, fresh);
    }
    section = map.get(step);
    if (isMap(section) && section.items.length === 0) section.flow = false; // so that `hosts: {}` grows as a block
  }
  if (!isMap(section)) throw new TypeError(`bug: ${path.join('.')} is no map after it was made one`);
  edit(document, section);
  return policyText(document);
}

/** By how much the host's key is indented. */
function indentOf({ text }: PolicyPart): number {
  const line = text.split('\n').find(candidate => !/^\s*(?:#.*)?$/.test(candidate)) ?? '';
  return line.length - line.trimStart().length;
}
