/** Ends with 7 while a file call hangs: reading from a fifo that nobody writes to, whose path is the argument. */
import { dirname } from 'node:path';
import { setApart } from '../../src/platform/disk.js';
import { open } from '../../src/platform/disk-calls.js';
import { endProcess } from '../../src/platform/end-process.js';

const [, , fifo = ''] = process.argv;
setApart(dirname(fifo));
void open(fifo, 'r');
// Once the thread is at it.
setTimeout(() => endProcess(7), 100);
