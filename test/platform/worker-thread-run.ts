/** A worker thread for worker-thread.test.ts: it doubles, throws or ends. */
import { answerAsks } from '../../src/platform/worker-thread.js';

answerAsks((ask: number | 'throw' | 'end') => {
  if (ask === 'throw') throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
  if (ask === 'end') process.exit(3);
  return ask * 2;
});
