/**
 * Path text: how a path, which is bytes, is written in arguments, tables and JSON, which are text.
 *
 * Valid UTF-8 stands for itself. Everything that a terminal could act upon or that text cannot hold is written as
 * `\xHH`, one for each byte: control characters, the backslash, line separators, the marks that reverse the reading
 * direction (they can make `gpj.exe` look like `exe.jpg`), and bytes that are no UTF-8. So the text is one line, and
 * the way back is exact.
 *
 * Used wherever a path meets a person or a script; specified in src/DESIGN.md, "What scripts may rely on".
 */
import { ClusterError } from '../core/fault.js';

const BACKSLASH = 0x5c;

/** The text of a path. `unescapePath(escapePath(path))` is `path`, for all bytes. */
export function escapePath(path: Uint8Array): string {
  const bytes = Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  let text = '';
  let plainFrom = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0 && isSafe(bytes, at, length)) {
      at += length;
      continue;
    }
    text += bytes.toString('utf8', plainFrom, at);
    for (const end = at + Math.max(length, 1); at < end; at += 1) {
      text += `\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`;
    }
    plainFrom = at;
  }
  return text + bytes.toString('utf8', plainFrom);
}

/**
 * The bytes that a text from `escapePath`, or from a person, stands for.
 * @throws ClusterError BAD_PATH_TEXT when a backslash begins anything but `\xHH`.
 */
export function unescapePath(text: string): Buffer {
  const pieces: Buffer[] = [];
  for (const [index, piece] of text.split('\\').entries()) {
    if (index === 0) {
      pieces.push(Buffer.from(piece, 'utf8'));
      continue;
    }
    const digits = /^x([0-9a-fA-F]{2})/.exec(piece)?.[1];
    if (digits === undefined) {
      throw new ClusterError(
        'BAD_PATH_TEXT',
        `\\${piece.slice(0, 3)} in the path ${JSON.stringify(text.slice(0, 200))} is not \\xHH: write a backslash as \\x5c and any other byte as \\x and two hex digits`,
        { blame: 'operator' },
      );
    }
    pieces.push(Buffer.from(digits, 'hex'), Buffer.from(piece.slice(3), 'utf8'));
  }
  return Buffer.concat(pieces);
}

/** The length of the UTF-8 sequence at `at`: 1 to 4; 0 when there is none (RFC 3629: no overlong forms, no surrogates). */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  for (let offset = 1; offset < length; offset += 1) {
    const next = bytes[at + offset] ?? 0;
    if ((next & 0xc0) !== 0x80) return 0;
  }
  const second = bytes[at + 1] ?? 0;
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second > 0x8f) return 0;
  return length;
}

function isSafe(bytes: Buffer, at: number, length: number): boolean {
  const first = bytes[at] ?? 0;
  if (length === 1) return first >= 0x20 && first !== 0x7f && first !== BACKSLASH;
  const second = bytes[at + 1] ?? 0;
  if (length === 2) return first !== 0xc2 || second > 0x9f; // U+0080 to U+009F: the C1 controls
  if (length === 3 && first === 0xe2) {
    const third = bytes[at + 2] ?? 0;
    if (second === 0x80) return !((third >= 0x8e && third <= 0x8f) || (third >= 0xa8 && third <= 0xae)); // U+200E/F, U+2028 to U+202E
    if (second === 0x81) return !(third >= 0xa6 && third <= 0xa9); // U+2066 to U+2069
  }
  return true;
}
