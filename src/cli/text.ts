/**
 * Text: how values look to people and in JSON. Nothing that came from elsewhere reaches a terminal with its control
 * characters: a file's name must not move the cursor or paint a false line.
 */
import { stripVTControlCharacters, styleText } from 'node:util';
import prettyBytes from 'pretty-bytes';

/** The columns of a terminal that does not say how many it has, and the fewest that a table is laid out for. */
export const COLUMNS = 80;

/** Line breaks and tabs stay; other control characters become `\xHH` or `\u{…}`. */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, character => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });

/** A text from elsewhere as one line of a result: a line break in the name of a store begins no line of its own. */
export const lineText = (text: string): string => printable(text).replaceAll(/[\t\n]/g, ' ');

/** The same where line breaks may be meant, as in a list of errors: what follows one begins no line of its own either. */
export const paragraphText = (text: string): string => printable(text).replace(/\n(?! {2})/g, `\n${INDENT}`);

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

/** A word of a command that a person may copy into a shell. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Ids as people read them; restic shows as many digits. */
export const shortId = (id: string): string => id.slice(0, 8);

/** Colour for terminals: not in a pipe, not with NO_COLOR (no-color.org: set and not empty), not on a dumb terminal. */
export function coloured(colour: 'red' | 'yellow' | 'green' | 'bold' | 'dim', text: string): string {
  return wantsColour() ? styleText(colour, text, { validateStream: false }) : text;
}

const wantsColour = (): boolean =>
  process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';

/** What takes two columns of a terminal: Chinese, Japanese and Korean characters, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;
/** What takes none: it is drawn over the character before it, or joins two. */
const NARROW = /[\p{Mark}\u200b-\u200d]/u;

const columnsOfOne = (character: string): number => (WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1);

/** How many columns of a terminal a text takes. Colours take none. */
export function columnsOf(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[ -~]*$/.test(plain)) return plain.length;
  let columns = 0;
  for (const character of plain) columns += columnsOfOne(character);
  return columns;
}

/** The lines of a text, broken at spaces; only a word that is longer than a line is cut. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap(part => pieces(part, columns))) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (columnsOf(longer) <= columns) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = word;
  }
  return [...lines, line];
}

/** By whole characters: half of one is none. Coloured words are far shorter than a line. */
function pieces(word: string, columns: number): string[] {
  if (columnsOf(word) <= columns) return [word];
  const cut: string[] = [];
  let [piece, taken] = ['', 0];
  for (const character of word) {
    const more = columnsOfOne(character);
    if (taken + more > columns && piece !== '') {
      cut.push(piece);
      [piece, taken] = ['', 0];
    }
    piece += character;
    taken += more;
  }
  return [...cut, piece];
}

/** What all lines but the first of a text begin with, so that the next text is told from it. */
const INDENT = '  ';

/** The shortest lines that a text is broken into: a terminal may say that it has one column, or two. */
export const TEXT_COLUMNS_MIN = 20;

/** A text on the lines of a terminal of so many columns: by default those of stdout. */
export const onTerminal = (text: string, columns = process.stdout.columns || COLUMNS): string =>
  wrapped(text, Math.max(columns - INDENT.length, TEXT_COLUMNS_MIN)).join(`\n${INDENT}`);

export interface Column {
  readonly head: string;
  readonly align?: 'right';
}

/** Between two columns: no lines, which leaves more of the 80 for what matters. */
const GAP = '  ';
/** No table is wider, however wide the terminal is: the eye would lose the row. */
const TABLE_COLUMNS_MAX = 200;

/** A table on a terminal; otherwise one line per row, the head first, with fields separated by tabs. */
export function tableText(
  isTerminal: boolean,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const heads = columns.map(({ head }) => head);
  const cells = rows.map(row => row.map(cell => lineText(cell)));
  if (!isTerminal) return [heads, ...cells].map(row => row.join('\t')).join('\n');

  const widths = columnWidths([heads, ...cells]);
  const linesOf = (row: readonly string[]): string[] => {
    const fitted = widths.map((width, at) => wrapped(row[at] ?? '', width));
    return Array.from({ length: Math.max(...fitted.map(({ length }) => length)) }, (_, n) =>
      fitted
        .map((lines, at) => padded(lines[n] ?? '', { width: widths[at] ?? 0, align: columns[at]?.align }))
        .join(GAP)
        .trimEnd(),
    );
  };
  const head = linesOf(heads).map(line => coloured('bold', line));
  return [...head, ...cells.flatMap(linesOf)].join('\n');
}

function padded(
  text: string,
  { width, align }: { readonly width: number; readonly align: Column['align'] | undefined },
): string {
  const room = ' '.repeat(Math.max(0, width - columnsOf(text)));
  return align === 'right' ? `${room}${text}` : `${text}${room}`;
}

/**
 * Each column is as wide as its content; then the widest gives way until the table fits: as long as that is enough, of
 * those columns in which no word has to be cut for it.
 */
function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  const words: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) {
      widths[at] = Math.max(widths[at] ?? 0, columnsOf(cell));
      for (const word of cell.split(' ')) words[at] = Math.max(words[at] ?? 0, columnsOf(word));
    }
  }
  const between = GAP.length * (widths.length - 1);
  const room = Math.min(Math.max(process.stdout.columns || COLUMNS, COLUMNS), TABLE_COLUMNS_MAX);
  for (let over = widths.reduce((sum, width) => sum + width, between) - room; over > 0; over -= 1) {
    const loose = widths.map((width, at) => (width > (words[at] ?? 0) ? width : 0));
    const some = loose.some(width => width > 0) ? loose : widths;
    const widest = some.indexOf(Math.max(...some));
    widths[widest] = Math.max(1, (widths[widest] ?? 1) - 1);
  }
  return widths;
}
