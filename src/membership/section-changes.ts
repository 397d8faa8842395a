/**
 * Section changes: in which words one version of the policy is told from the one before it. Sources and stores that came
 * or left are named, as they are what most changes are about; of all else it is told whose section says something else.
 *
 * What the texts say is compared, not how they say it. Of a piece that was withheld from this host only the hash can be.
 * Pure. Driven by config-history.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import type { UncheckedVersion } from './configuration.js';
import { type PolicyPartName, readPlain } from './policy-parts.js';

type Parts = UncheckedVersion['parts'];

/** A part before and after; undefined where there is none. */
interface Change {
  readonly old: Parts[number] | undefined;
  readonly now: Parts[number] | undefined;
}

/** So many sources, or stores, of a host that came or left at once are named: a cell of a table is no list. */
const NAMED_MAX = 5;
/** Of a path, which may have 4096 bytes: most are shorter, and this is more than a line of a terminal. */
const PATH_CHARACTERS_MAX = 100;

export function policyChanges(before: Parts, after: Parts): readonly string[] {
  const partsOf = (parts: Parts) => new Map(parts.map(part => [part.name, part]));
  const [was, is] = [partsOf(before), partsOf(after)];
  const changed = [...new Set([...is.keys(), ...was.keys()])]
    .map(name => ({ name, old: was.get(name), now: is.get(name) }))
    .filter(({ old, now }) => old?.hash !== now?.hash);
  const sections = changed.filter(({ name }) => !isFrame(name));
  const changes = sections.flatMap(({ name, ...change }) => sectionChanges(name.replace(/^host:/, ''), change));
  if (sections.length < changed.length && !isDeepStrictEqual(frameOf(before), frameOf(after)))
    changes.unshift('policy for all');
  return changed.length > 0 && changes.length === 0 ? ['only how the policy is written'] : changes;
}

const isFrame = (name: PolicyPartName): boolean => name === 'head' || name === 'tail';

/** What holds for all hosts; the pieces themselves where they cannot be read. */
function frameOf(parts: Parts): unknown {
  const frame = parts.filter(({ name }) => isFrame(name));
  const isHere = frame.every(({ text }) => text !== undefined);
  const said = isHere ? readPlain(frame.map(({ text }) => text).join('')) : undefined;
  const { hosts: _, ...rest } = said ?? { frame };
  return rest;
}

function sectionChanges(host: string, { old, now }: Change): readonly string[] {
  const [was, is] = [sectionOf(host, old), sectionOf(host, now)];
  const whole = `policy of ${host}${old === undefined ? ', new' : now === undefined ? ', taken out' : ''}`;
  if (was === undefined || is === undefined) return [whole];
  const named = (['sources', 'stores'] as const).flatMap(kind => {
    const [had, has] = [was[kind], is[kind]];
    return [
      ...movesText(host, { kind, names: namesBeyond(has, had), how: 'added' }),
      ...movesText(host, { kind, names: namesBeyond(had, has), how: 'removed' }),
    ];
  });
  const isNamedAll = isDeepStrictEqual(staying(was, is), staying(is, was));
  const isThere = old !== undefined && now !== undefined;
  return isNamedAll && (isThere || named.length > 0) ? named : [...named, whole];
}

interface Section {
  /** By their names. */
  readonly sources: Named;
  /** By their paths. */
  readonly stores: Named;
  /** All else that it says. */
  readonly rest: Named;
}

type Named = Readonly<Record<string, unknown>>;

/** Empty where there is none; undefined where it cannot be read. */
function sectionOf(host: string, part: Parts[number] | undefined): Section | undefined {
  if (part === undefined) return { sources: {}, stores: {}, rest: {} };
  const section = part.text === undefined ? undefined : readPlain(part.text);
  if (section === undefined) return undefined;
  const { sources, stores, ...rest } = (section[host] ?? {}) as PlainSection;
  const byPath = (stores ?? []).map(store => [store.path, store] as const);
  return { sources: sources ?? {}, stores: Object.fromEntries(byPath), rest };
}

/** As policy-schema.ts has it: what is no such policy is never in force. */
interface PlainSection {
  readonly sources?: Named | null;
  readonly stores?: readonly { readonly path: string }[] | null;
  readonly [key: string]: unknown;
}

const namesBeyond = (names: Named, known: Named): readonly string[] =>
  Object.keys(names).filter(name => !Object.hasOwn(known, name));

/** Without the sources and stores that the other one does not have. */
function staying({ sources, stores, rest }: Section, other: Section): Section {
  const within = (named: Named, known: Named): Named =>
    Object.fromEntries(Object.entries(named).filter(([name]) => Object.hasOwn(known, name)));
  return { sources: within(sources, other.sources), stores: within(stores, other.stores), rest };
}

function movesText(
  host: string,
  {
    kind,
    names,
    how,
  }: { readonly kind: 'sources' | 'stores'; readonly names: readonly string[]; readonly how: string },
): readonly string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, NAMED_MAX).map(name => cut(name));
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : '';
  return [`${host}: ${names.length === 1 ? kind.slice(0, -1) : kind} ${shown.join(', ')}${more} ${how}`];
}

const cut = (name: string): string =>
  name.length > PATH_CHARACTERS_MAX ? `${name.slice(0, PATH_CHARACTERS_MAX)}…` : name;
