import test from 'ava';
import { draw, type Picture } from '../../sim/plan/picture.js';

const WIDTH = 900;
/** Of a letter, by the size of the font: the average of a wide one. */
const LETTER = 0.6;
const MINUTE_MS = 60_000;
const LONG_MS = 600 * MINUTE_MS;

const picture = (changes: Partial<Picture> = {}): Picture => ({
  title: '4 hosts, 40 parcels, 200 GB, 2 copies wanted',
  subtitle: '',
  copiesWanted: 2,
  hosts: [
    { name: 'living-room-imac-of-ann', lent: '1.52 TB' },
    { name: 'mini', lent: '500 GB' },
  ],
  marks: [],
  frames: [0, LONG_MS].map(atMs => ({ atMs, withCopies: [1, 2, 3, 4, 5, 6, 7], fill: [0, 1] })),
  ...changes,
});

interface Words {
  readonly words: string;
  readonly from: number;
  readonly to: number;
  readonly y: number;
  readonly size: number;
}

/** Where a viewer puts them, about. */
function wordsOf(svg: string): Words[] {
  return [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*)</g)].map(
    ([, x, y, attributes = '', words = '']) => {
      const size = Number(/font-size="(\d+)"/.exec(attributes)?.[1] ?? 12);
      const width = LETTER * size * words.length;
      const [, anchor = 'start'] = /text-anchor="(\w+)"/.exec(attributes) ?? [];
      const from = Number(x) - (anchor === 'end' ? width : anchor === 'middle' ? width / 2 : 0);
      return { words, from, to: from + width, y: Number(y), size };
    },
  );
}

/** What overprints what, or runs off the picture. */
function faultsOf(svg: string): string[] {
  const all = wordsOf(svg);
  return all.flatMap((one, i) => [
    ...(one.from < 0 || one.to > WIDTH ? [`${one.words} runs off`] : []),
    ...all
      .slice(i + 1)
      .filter(
        ({ from, to, y, size }) => from < one.to && one.from < to && Math.abs(y - one.y) < Math.min(size, one.size) - 1,
      )
      .map(({ words }) => `${one.words} | ${words}`),
  ]);
}

const told = (svg: string, words: string): Words | undefined => wordsOf(svg).find(each => each.words === words);

test('two marks close together stand one above the other, the line of neither through the words of the other', t => {
  for (const [firstMs, nextMs, highest] of [
    [0, 2 * MINUTE_MS, 'as it is'],
    [LONG_MS - 2 * MINUTE_MS, LONG_MS, '+ new-1, − mini'],
  ] as const) {
    const marks = [
      { atMs: firstMs, text: 'as it is' },
      { atMs: nextMs, text: '+ new-1, − mini' },
    ];
    const svg = draw(picture({ marks }));
    t.deepEqual(faultsOf(svg), []);
    const [first, next] = marks.map(({ text }) => told(svg, text));
    t.not(first?.y, next?.y);
    t.is(Math.min(first?.y ?? 0, next?.y ?? 0), told(svg, highest)?.y ?? -1);
  }
});

test('marks far apart stand side by side', t => {
  const svg = draw(
    picture({
      marks: [
        { atMs: 0, text: 'as it is' },
        { atMs: LONG_MS / 3, text: '3 copies' },
      ],
    }),
  );
  t.is(told(svg, 'as it is')?.y, told(svg, '3 copies')?.y);
});

test('words of marks that find no place are cut short or left out, and their lines stay', t => {
  const many = Array.from({ length: 20 }, (_, i) => `+ new-${i + 1}`).join(', ');
  const marks = [0, 1, 2, 3, 597, 598, 599].map(minute => ({ atMs: minute * MINUTE_MS, text: many }));
  const svg = draw(picture({ marks }));
  t.deepEqual(faultsOf(svg), []);
  t.is(svg.split('stroke-dasharray').length - 1, marks.length);
});

test('labels of hosts are whole, however long their names, and so is the legend, however many copies there are', t => {
  for (const copies of [1, 2, 4, 5, 6, 12]) {
    const withCopies = Array.from({ length: copies + 1 }, () => 1);
    const svg = draw(picture({ frames: [0, LONG_MS].map(atMs => ({ atMs, withCopies, fill: [0, 1] })) }));
    t.deepEqual(faultsOf(svg), [], `${copies}`);
    t.is(told(svg, '5 or more') !== undefined, copies > 5, `${copies}`);
  }
});
