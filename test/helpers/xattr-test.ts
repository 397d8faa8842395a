/** A test of extended attributes: it says so loudly where there can be none. */
import test, { type ExecutionContext } from 'ava';
import { whyNoXattrs } from './raw-xattrs.js';
import { skip } from './skip.js';

const because = whyNoXattrs();

export const xattrTest = (title: string, body: (t: ExecutionContext) => void | Promise<void>): void =>
  test(title, async t => {
    if (because !== undefined) return skip(t, because);
    return body(t);
  });
