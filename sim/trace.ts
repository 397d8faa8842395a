/** Trace: one line per happening, short enough to follow a run by. */
import type { Happening } from './happening.js';
import type { World } from './world.js';

/** Each value in a line is cut to this length. */
const VALUE_LENGTH = 10;
const LINE_LENGTH = 240;

export function lineOf(happening: Happening, world: World): string | undefined {
  if (happening.is === 'stepped') return undefined;
  const host = 'by' in happening ? happening.by.host : happening.host;
  const what =
    happening.is === 'told'
      ? `< ${wordsOf(happening.input)}`
      : happening.is === 'effect'
        ? `> ${wordsOf(happening.effect)}`
        : `= ${happening.is} ${objectOf(happening)}`;
  const line = `${world.events} ${(world.nowMs / 1_000).toFixed(3)}s h${host.number}${host.isClone ? "'" : ''} ${what}`;
  return line.slice(0, LINE_LENGTH);
}

function objectOf(happening: Happening): string {
  if ('op' in happening) return wordsOf(happening.op);
  if (happening.is === 'serves') return `${happening.what} to ${happening.to.slice(0, VALUE_LENGTH)}`;
  return 'parcel' in happening ? happening.parcel : '';
}

function wordsOf(of: object): string {
  return JSON.stringify(of, (name, value: unknown) => {
    if (name === 'nowMs' || name === 'config' || name === 'signature') return undefined;
    if (value instanceof Map) return [...value.keys()].map(key => String(key).slice(0, VALUE_LENGTH));
    return typeof value === 'string' && value.length > 2 * VALUE_LENGTH ? value.slice(0, VALUE_LENGTH) : value;
  });
}
