/**
 * Text: how values look to people and in JSON. Nothing that came from elsewhere reaches a terminal with its control
 * characters: a file's name must not move the cursor or paint a false line.
 */
import { stripVTControlCharacters, styleText } from 'node:util';
import prettyBytes from 'pretty-bytes';

/** The columns of a terminal that does not say how many it has, and the fewest that a table is laid out for. */
const COLUMNS = 80;

/** Line breaks and tabs stay; other control characters become `\xHH` or `\u{…}`. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, character => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });

export const sizeText = (bytes: number): string => prettyBytes(bytes);

/** @param plural default: with an s */
export const countText = (count: number, noun: string, plural = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : plural}`;

/** What a partial snapshot lacks, in a table. */
export function partialText({ stale, missed }: { readonly stale: number; readonly missed: number }): string {
  const counts = [...(missed > 0 ? [`${missed} missed`] : []), ...(stale > 0 ? [`${stale} stale`] : [])];
  return counts.length === 0 ? 'partial' : `partial (${counts.join(', ')})`;
}

/** RFC 3339 in UTC, for JSON. */
export const timeRecord = (timeMs: number | undefined): string | null =>
  timeMs === undefined ? null : new Date(timeMs).toISOString();

/** Local time to the second, for people. */
export function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  const two = (number: number): string => String(number).padStart(2, '0');
  return (
    `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ` +
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
  );
}

/** `45 s`, `3 min`, `5 h`, `2 d`: one unit, rounded down, for "how long ago". */
export function spanText(spanMs: number): string {
  const seconds = Math.max(0, Math.floor(spanMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Ids as people read them; restic shows as many digits. */
export const shortId = (id: string): string => id.slice(0, 8);

/** Colour for terminals: not in a pipe, not with NO_COLOR (no-color.org: set and not empty), not on a dumb terminal. */
export function coloured(colour: 'red' | 'yellow' | 'green' | 'bold' | 'dim', text: string): string {
  return wantsColour() ? styleText(colour, text, { validateStream: false }) : text;
}

const wantsColour = (): boolean =>
  process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

/** The lines of a text, broken at spaces; only a word that is longer than a line is cut. Colours take no room. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap(part => pieces(part, columns))) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (stripVTControlCharacters(longer).length <= columns) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = word;
  }
  return [...lines, line];
}

function pieces(word: string, columns: number): string[] {
  if (stripVTControlCharacters(word).length <= columns) return [word];
  // By code points: half a character is none. Coloured words are far shorter than a line.
  const characters = [...word];
  const count = Math.ceil(characters.length / columns);
  return Array.from({ length: count }, (_, n) => characters.slice(n * columns, (n + 1) * columns).join(''));
}

/** What all lines but the first of a text begin with, so that the next text is told from it. */
const INDENT = '  ';

/** The shortest lines that a text is broken into: a terminal may say that it has one column, or two. */
const TEXT_COLUMNS_MIN = 20;

/** A text on the lines of a terminal of so many columns: by default those of stdout. */
export const onTerminal = (text: string, columns = process.stdout.columns || COLUMNS): string =>
  wrapped(text, Math.max(columns - INDENT.length, TEXT_COLUMNS_MIN)).join(`\n${INDENT}`);

export interface Column {
  readonly head: string;
  readonly align?: 'right';
}

/** A table on a terminal; otherwise one line per row, the head first, with fields separated by tabs. */
export async function tableText(
  isTerminal: boolean,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Promise<string> {
  const cells = rows.map(row => row.map(cell => printable(cell).replaceAll(/[\t\n]/g, ' ')));
  if (!isTerminal) return [columns.map(({ head }) => head), ...cells].map(row => row.join('\t')).join('\n');

  const { default: Table } = await import('cli-table3');
  const widths = columnWidths(columns, cells);
  const table = new Table({
    head: fitted(
      columns.map(({ head }) => head),
      widths,
    ),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    colWidths: widths,
    // For what is wider than its length, as Chinese is: cli-table3 knows by how much, and would otherwise leave some out.
    wordWrap: true,
    wrapOnWordBoundary: false,
    chars: FRAME,
    // cli-table3 colours the head after cutting words to the column's width; it would cut coloured cells inside a code.
    style: { head: wantsColour() ? ['bold'] : [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  table.push(...cells.map(row => fitted(row, widths)));
  return table.toString();
}

/** Each cell in lines of its column's width. By itself cli-table3 would cut words, or leave out the end of a long one. */
const fitted = (row: readonly string[], widths: readonly number[]): string[] =>
  row.map((cell, index) => wrapped(cell, widths[index] ?? COLUMNS).join('\n'));

/** No lines at all: that leaves more of the 80 columns for what matters. */
const FRAME = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
} as const;

/**
 * Each column is as wide as its content; then the widest gives way until the table fits: as long as that is enough, of
 * those columns in which no word has to be cut for it.
 */
function columnWidths(columns: readonly Column[], cells: readonly (readonly string[])[]): number[] {
  const widths = columns.map(({ head }, index) => Math.max(head.length, ...cells.map(row => row[index]?.length ?? 0)));
  const between = FRAME.middle.length * (columns.length - 1);
  const room = Math.min(Math.max(process.stdout.columns || COLUMNS, COLUMNS), 200);
  const words = columns.map(({ head }, index) =>
    Math.max(
      ...[head, ...cells.map(row => row[index] ?? '')].flatMap(cell => cell.split(' ').map(word => word.length)),
    ),
  );
  for (let over = widths.reduce((sum, width) => sum + width, between) - room; over > 0; over -= 1) {
    const loose = widths.map((width, index) => (width > (words[index] ?? 0) ? width : 0));
    const some = loose.some(width => width > 0) ? loose : widths;
    const widest = some.indexOf(Math.max(...some));
    widths[widest] = Math.max(1, (widths[widest] ?? 1) - 1);
  }
  return widths;
}
