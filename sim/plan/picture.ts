/**
 * Picture: a plan's run as an SVG: at the top, how many parcels had how many copies; below, how full each host was;
 * time runs from left to right.
 *
 * Light background, no script, no font except the viewer's own; readable at its native width of 900.
 */
import type { Frame } from './film.js';

export interface Picture {
  readonly title: string;
  readonly subtitle: string;
  readonly copiesWanted: number;
  /** In the order of the fills in `frames`. */
  readonly hosts: readonly { readonly name: string; readonly lent: string }[];
  /** When each phase began. */
  readonly marks: readonly { readonly atMs: number; readonly text: string }[];
  readonly frames: readonly Frame[];
}

const WIDTH = 900;
/** Small text, and what a letter of it takes in a wide font, on average (DejaVu Sans). */
const SMALL = 11;
const LETTER_WIDTH = 6.6;
const NAME_LETTERS = 15;
/** A name, and what its host lends: `1.25 TB`. */
const LABEL_LETTERS = NAME_LETTERS + 9;
const LABEL_GAP = 8;
/** The longest label, and a margin. */
const LEFT = Math.ceil(LABEL_LETTERS * LETTER_WIDTH) + 2 * LABEL_GAP;
const RIGHT = 58;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
/** The words of marks stand in so many rows, and those that fit into none are left out: the lines stay. */
const MARK_ROWS = 3;
const MARK_ROW_HEIGHT = 13;
/** From a mark's line to its words. */
const MARK_GAP = 4;
/** Of the heading and the legend. */
const HEADING_Y = 95;
const COPIES_TOP = HEADING_Y + 10 + MARK_ROWS * MARK_ROW_HEIGHT;
const COPIES_HEIGHT = 210;
/** Space between the two plots, for the axis of the first and the heading of the second. */
const GAP = 74;
const ROW_HEIGHT = { least: 4, most: 18 };
const ROWS_HEIGHT = 420;
/** The height that a name needs. */
const NAME_HEIGHT = SMALL;

const INK = '#27323a';
const FAINT = '#6b7780';
const LINE = '#d9dee2';
/** From no copy to many. */
const COPY_COLOURS = ['#c8443c', '#eeb14f', '#58b09c', '#2f7f8f', '#2b5c84', '#3b3f72'];
const FILL_FROM = [238, 243, 246] as const;
const FILL_TO = [24, 78, 119] as const;
const FILL_STEPS = 40;

export function draw({ title, subtitle, copiesWanted, hosts, marks, frames }: Picture): string {
  const rowHeight = Math.max(ROW_HEIGHT.least, Math.min(ROW_HEIGHT.most, ROWS_HEIGHT / Math.max(1, hosts.length)));
  const rowsTop = COPIES_TOP + COPIES_HEIGHT + GAP;
  const rowsBottom = rowsTop + rowHeight * hosts.length;
  const height = Math.ceil(rowsBottom + 52);
  const startMs = frames[0]?.atMs ?? 0;
  const spanMs = Math.max(1, (frames.at(-1)?.atMs ?? 0) - startMs);
  const x = (atMs: number): number => LEFT + ((atMs - startMs) / spanMs) * PLOT_WIDTH;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      `font-family="system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12" fill="${INK}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fbfcfc"/>`,
    text(LEFT, 34, title, 'font-size="19" font-weight="600"'),
    text(LEFT, 55, subtitle, `fill="${FAINT}"`),
    ...copiesPlot({ frames, x, copiesWanted }),
    ...timeAxis({ x, startMs, spanMs, top: COPIES_TOP, bottom: COPIES_TOP + COPIES_HEIGHT, labelled: false }),
    ...fillPlot({ hosts, frames, x, top: rowsTop, rowHeight }),
    ...timeAxis({ x, startMs, spanMs, top: rowsTop, bottom: rowsBottom, labelled: true }),
    ...markLines({ marks, x, bottom: rowsBottom }),
    '</svg>',
    '',
  ].join('\n');
}

// ----------------------------------------------------------------------------------------------------------------- copies

function copiesPlot({
  frames,
  x,
  copiesWanted,
}: {
  readonly frames: readonly Frame[];
  readonly x: (atMs: number) => number;
  readonly copiesWanted: number;
}): string[] {
  const y = (share: number): number => COPIES_TOP + COPIES_HEIGHT * (1 - share);
  const most = frames.reduce((max, { withCopies }) => Math.max(max, highest(withCopies)), copiesWanted);
  const bands: string[] = [];
  // Most copies at the bottom, so that the safe parcels carry the others.
  for (let copies = 0; copies <= most; copies += 1) {
    const tops = frames.map(({ atMs, withCopies }) => {
      const all = Math.max(
        1,
        withCopies.reduce((sum, count) => sum + count, 0),
      );
      const from = withCopies.slice(copies).reduce((sum, count) => sum + count, 0);
      return { at: x(atMs), top: y(from / all) };
    });
    const line = tops.map(({ at, top }) => `${fixed(at)},${fixed(top)}`).join(' ');
    const [first, last] = [tops[0]?.at ?? LEFT, tops.at(-1)?.at ?? LEFT];
    bands.push(
      `<polygon fill="${colourOf(copies)}" points="${fixed(first)},${fixed(y(0))} ${line} ${fixed(last)},${fixed(y(0))}"/>`,
    );
  }
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap(share => [
    `<line x1="${LEFT}" x2="${LEFT + PLOT_WIDTH}" y1="${fixed(y(share))}" y2="${fixed(y(share))}" stroke="#fff" stroke-opacity="0.45"/>`,
    text(LEFT - LABEL_GAP, y(share) + 4, `${share * 100} %`, `text-anchor="end" fill="${FAINT}"`),
  ]);
  const legend: string[] = [];
  let at = LEFT + PLOT_WIDTH;
  const last = Math.min(most, COPY_COLOURS.length - 1);
  for (let copies = last; copies >= 0; copies -= 1) {
    const words = copies === 0 ? 'none' : copies < most && copies === last ? `${copies} or more` : String(copies);
    at -= 7 * words.length + 26;
    legend.push(
      `<rect x="${at}" y="${HEADING_Y - 10}" width="12" height="12" rx="2" fill="${colourOf(copies)}"/>`,
      text(at + 17, HEADING_Y, words, ''),
    );
  }
  return [
    text(LEFT, HEADING_Y, 'Parcels by their number of copies', 'font-weight="600"'),
    ...legend,
    ...bands,
    ...grid,
  ];
}

const highest = (withCopies: readonly number[]): number => withCopies.findLastIndex(count => count > 0);

const colourOf = (copies: number): string => COPY_COLOURS[Math.min(copies, COPY_COLOURS.length - 1)] as string;

// ------------------------------------------------------------------------------------------------------------------- fill

function fillPlot({
  hosts,
  frames,
  x,
  top,
  rowHeight,
}: {
  readonly hosts: Picture['hosts'];
  readonly frames: readonly Frame[];
  readonly x: (atMs: number) => number;
  readonly top: number;
  readonly rowHeight: number;
}): string[] {
  const parts = [text(LEFT, top - 22, 'How full each host is', 'font-weight="600"'), ...fillLegend(top - 32)];
  const gap = rowHeight > 8 ? 2 : 0.5;
  const everyNth = Math.ceil(NAME_HEIGHT / rowHeight);
  for (const [i, { name, lent }] of hosts.entries()) {
    const y = top + i * rowHeight;
    parts.push(...fillRow({ frames, host: i, x, y, height: rowHeight - gap }));
    if (i % everyNth !== 0) continue;
    const middle = y + (rowHeight - gap) / 2 + 4;
    const label =
      rowHeight >= NAME_HEIGHT ? `${shortened(name, NAME_LETTERS)}  ${lent}` : shortened(name, NAME_LETTERS);
    const last = frames.at(-1)?.fill[i];
    const percent = last === undefined ? 'gone' : `${Math.round(last * 100)} %`;
    parts.push(
      text(LEFT - LABEL_GAP, middle, label, `text-anchor="end" fill="${FAINT}" font-size="${SMALL}"`),
      text(LEFT + PLOT_WIDTH + LABEL_GAP, middle, percent, `fill="${FAINT}" font-size="${SMALL}"`),
    );
  }
  return parts;
}

/** One rectangle for each stretch of the same colour. */
function fillRow({
  frames,
  host,
  x,
  y,
  height,
}: {
  readonly frames: readonly Frame[];
  readonly host: number;
  readonly x: (atMs: number) => number;
  readonly y: number;
  readonly height: number;
}): string[] {
  const parts: string[] = [];
  let from = 0;
  const stepOf = (frame: Frame): number | undefined => {
    const fill = frame.fill[host];
    return fill === undefined ? undefined : Math.round(Math.min(1, fill) * FILL_STEPS);
  };
  for (let at = 1; at <= frames.length; at += 1) {
    const [first, next] = [frames[from], frames[at]];
    if (first === undefined) break;
    const step = stepOf(first);
    if (next !== undefined && stepOf(next) === step) continue;
    const left = x(first.atMs);
    const right = x((next ?? (frames.at(-1) as Frame)).atMs);
    if (step !== undefined && right > left)
      parts.push(
        `<rect x="${fixed(left)}" y="${fixed(y)}" width="${fixed(right - left + 0.3)}" height="${fixed(height)}" fill="${fillColour(step / FILL_STEPS)}"/>`,
      );
    from = at;
  }
  return parts;
}

function fillLegend(y: number): string[] {
  const width = 120;
  const left = LEFT + PLOT_WIDTH - width - 40;
  const steps = 24;
  const bar = Array.from(
    { length: steps },
    (_, i) =>
      `<rect x="${fixed(left + (i * width) / steps)}" y="${y}" width="${fixed(width / steps + 0.3)}" height="12" fill="${fillColour(i / (steps - 1))}"/>`,
  );
  return [
    text(left - 8, y + 10, 'empty', `text-anchor="end" fill="${FAINT}"`),
    ...bar,
    text(left + width + 8, y + 10, 'full', `fill="${FAINT}"`),
  ];
}

function fillColour(fill: number): string {
  const parts = FILL_FROM.map((from, i) => Math.round(from + ((FILL_TO[i] as number) - from) * fill));
  return `#${parts.map(part => part.toString(16).padStart(2, '0')).join('')}`;
}

// ------------------------------------------------------------------------------------------------------------------- time

const TICKS_MS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map(
  seconds => seconds * 1000,
);
const TICKS_MAX = 9;

function timeAxis({
  x,
  startMs,
  spanMs,
  top,
  bottom,
  labelled,
}: {
  readonly x: (atMs: number) => number;
  readonly startMs: number;
  readonly spanMs: number;
  readonly top: number;
  readonly bottom: number;
  readonly labelled: boolean;
}): string[] {
  const days = Math.ceil(spanMs / 86_400_000 / TICKS_MAX) * 86_400_000;
  const everyMs = TICKS_MS.find(tick => spanMs / tick <= TICKS_MAX) ?? days;
  const parts = [
    `<rect x="${LEFT}" y="${fixed(top)}" width="${PLOT_WIDTH}" height="${fixed(bottom - top)}" fill="none" stroke="${LINE}"/>`,
  ];
  for (let at = 0; at <= spanMs; at += everyMs) {
    const left = fixed(x(startMs + at));
    parts.push(`<line x1="${left}" x2="${left}" y1="${fixed(bottom)}" y2="${fixed(bottom + 5)}" stroke="${FAINT}"/>`);
    parts.push(text(Number(left), bottom + 18, timeWords(at), `text-anchor="middle" fill="${FAINT}"`));
  }
  if (labelled)
    parts.push(
      text(LEFT + PLOT_WIDTH / 2, bottom + 38, 'time since the start', `text-anchor="middle" fill="${FAINT}"`),
    );
  return parts;
}

/** `0`, `40 s`, `5 min`, `1 h 30`, `2 d`. */
function timeWords(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds === 0) return '0';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600)
    return seconds % 60 === 0
      ? `${seconds / 60} min`
      : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`;
  const minutes = Math.round((seconds % 3600) / 60);
  return minutes === 0 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 3600)} h ${minutes}`;
}

function markLines({
  marks,
  x,
  bottom,
}: {
  readonly marks: Picture['marks'];
  readonly x: (atMs: number) => number;
  readonly bottom: number;
}): string[] {
  const taken: { readonly from: number; readonly to: number }[][] = Array.from({ length: MARK_ROWS }, () => []);
  const places = marks.map(mark => ({ ...mark, at: Math.min(LEFT + PLOT_WIDTH, Math.max(LEFT, x(mark.atMs))) }));
  // Words stand on the side with more room, and one row higher where other words are. Of two, those whose line is on their far side
  // go up; otherwise their line would run through the words below.
  const isLate = ({ at }: { readonly at: number }): boolean => at > LEFT + PLOT_WIDTH / 2;
  const early = places.filter(place => !isLate(place)).reverse();
  return [...early, ...places.filter(isLate)].flatMap(({ at, text: words }) => {
    const side = isLate({ at }) ? 'end' : 'start';
    const room = (side === 'end' ? at : WIDTH - at) - 2 * MARK_GAP;
    const fitting = shortened(words, Math.floor(room / LETTER_WIDTH));
    const near = at + (side === 'end' ? -MARK_GAP : MARK_GAP);
    const far = near + (side === 'end' ? -1 : 1) * fitting.length * LETTER_WIDTH;
    const [from, to] = [Math.min(at, far), Math.max(at, far)];
    const row = taken.findIndex(spans => spans.every(span => to < span.from || from > span.to));
    taken[row]?.push({ from, to });
    const y = COPIES_TOP - 5 - Math.max(0, row) * MARK_ROW_HEIGHT;
    return [
      `<line x1="${fixed(at)}" x2="${fixed(at)}" y1="${y - 7}" y2="${fixed(bottom)}" stroke="${INK}" stroke-dasharray="3 3" stroke-opacity="0.55"/>`,
      ...(row < 0 ? [] : [text(near, y, fitting, `text-anchor="${side}" font-size="${SMALL}"`)]),
    ];
  });
}

// ------------------------------------------------------------------------------------------------------------------- text

const text = (x: number, y: number, words: string, attributes: string): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(words)}</text>`;

const fixed = (number: number): string => String(Math.round(number * 10) / 10);

const shortened = (words: string, letters: number): string =>
  words.length <= letters ? words : `${words.slice(0, letters - 1)}…`;

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
