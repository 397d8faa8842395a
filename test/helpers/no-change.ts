/** No change: what a head says that changes nothing of what is wanted; a test states what it changes besides. */
import type { Input } from '../../src/core/effects.js';

export const NO_CHANGE: Omit<Extract<Input, { is: 'wanted' }>, 'is' | 'nowMs' | 'source' | 'head'> = {
  add: [],
  remove: [],
  notNewest: [],
  newestAgain: [],
  notListed: [],
  listedAgain: [],
};
