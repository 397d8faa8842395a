/** No change: the fields of a head that changes nothing of what is wanted; a test states only its difference. */
import type { Input } from '../../src/core/effects.js';

export const NO_CHANGE: Omit<Extract<Input, { is: 'wanted' }>, 'is' | 'nowMs' | 'source' | 'head'> = {
  add: [],
  remove: [],
  notNewest: [],
  newestAgain: [],
  notListed: [],
  listedAgain: [],
};
