/** A worker thread for worker-thread.test.ts: it doubles, throws, gives two signs of life or ends. */
import { answerAsks } from '../../src/platform/worker-thread.js';

answerAsks((ask: number | 'throw' | 'signs' | 'end', giveSign) => {
  if (ask === 'throw') throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
  if (ask === 'end') process.exit(3);
  if (ask === 'signs') {
    giveSign();
    giveSign();
    return 0;
  }
  return ask * 2;
});
