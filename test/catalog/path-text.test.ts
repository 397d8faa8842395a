import test from 'ava';
import fc from 'fast-check';
import { escapePath, unescapePath } from '../../src/catalog/path-text.js';
import { ClusterError } from '../../src/core/fault.js';

test('any bytes come back from their text', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      t.deepEqual(unescapePath(escapePath(bytes)), Buffer.from(bytes));
    }),
  );
});

test('the text of any bytes has no control character, no backslash but in \\xHH, and no line break', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const text = escapePath(bytes);
      t.notRegex(text, /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd]|\\(?!x[0-9a-f]{2})/u);
    }),
    {
      examples: [
        [Buffer.from('\u2028\u202e\u0085\u0007\r\n\\\u2066')],
        [Buffer.from([0xed, 0xa0, 0x80, 0xc0, 0xaf, 0xf5])],
      ],
    },
  );
});

test('readable names stay as they are', t => {
  for (const name of ['holiday/2019/IMG_1.jpg', 'Grüße & Küsse.txt', '漢字/かな', '👩‍👩‍👧.png', '-rf', ' a b ']) {
    t.is(escapePath(Buffer.from(name)), name);
  }
});

test('newline, backslash, escape and bytes outside UTF-8 are written as \\xHH', t => {
  t.is(escapePath(Buffer.from('a\nb\\c\u001b[0m')), 'a\\x0ab\\x5cc\\x1b[0m');
  t.is(escapePath(Buffer.from([0x61, 0xff, 0xc3, 0x28])), 'a\\xff\\xc3(');
  t.is(escapePath(Buffer.from([0xe2, 0x82])), '\\xe2\\x82');
});

test('a backslash that begins no \\xHH is refused and says what to write', t => {
  for (const text of ['a\\', 'a\\n', '\\x1', '\\xg0', 'C:\\dir']) {
    const error = t.throws(() => unescapePath(text), { instanceOf: ClusterError });
    t.is(error?.code, 'BAD_PATH_TEXT');
    t.regex(error?.message ?? '', /\\x5c/);
  }
});
