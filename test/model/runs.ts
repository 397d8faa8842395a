/**
 * Runs: which models are checked, in which sizes, and what each must come to.
 *
 * A model as it stands must be safe. A mutant is the same model without one of its rules, and must break the invariant that
 * it is named with: a rule that nothing breaks without would be idle, or the model blind. The models say what their switches
 * mean, and protocols/drop/model.md what stands for what.
 */

/** I1, I2, I3 and I13 are those of src/DESIGN.md; `forward` and `settles` are what epoch.pml and progress.pml keep. */
export const INVARIANTS = ['I1', 'I2', 'I3', 'I13', 'forward', 'settles'] as const;
export type Invariant = (typeof INVARIANTS)[number];
export type Expected = 'safe' | Invariant;

export interface Run {
  /** Below protocols, without its ending. */
  readonly model: 'drop/drop' | 'drop/expire' | 'drop/progress' | 'state/epoch';
  /** The model's switches: a number or a word for those that have one. */
  readonly set: Readonly<Record<string, number | 'ANY' | true>>;
  readonly expected: Expected;
  /** For people: hosts, N, and what may go wrong or which rule is taken out. */
  readonly hosts: number;
  readonly copies: number;
  readonly faults: string;
  /** Takes minutes, so only with --full. */
  readonly isLong?: true;
}

/** Messages are lost, late, doubled and out of order in all of them; hosts pause, restart, give up and grab anew. */
function drop(hosts: number, copies: number, faults: string, set: Run['set'] = {}): Run {
  return { model: 'drop/drop', hosts, copies, faults, set: { HOSTS: hosts, N: copies, ...set }, expected: 'safe' };
}

/** Asked about I1 alone, so that what breaks is a copy lost, not a promise on the way there. */
function dropMutant(copies: number, mutant: string, set: Run['set'] = {}, hosts = 3): Run {
  return { ...drop(hosts, copies, mutant, { I1_ONLY: true, ...set }), expected: 'I1' };
}

function expire(hosts: number, heads: number, faults: string, set: Run['set'] = {}): Run {
  return {
    model: 'drop/expire',
    hosts,
    copies: 2,
    faults: `${heads} heads, ${faults}`,
    set: { HOLDERS: hosts, N: 2, HEADS: heads, ...set },
    expected: 'safe',
  };
}

function epoch(words: number, epochs: number, faults: string, set: Run['set'] = {}): Run {
  return {
    model: 'state/epoch',
    hosts: 2,
    copies: 1,
    faults: `${words} words, ${faults}`,
    set: { WORDS: words, EPOCHS: epochs, ...set },
    expected: 'safe',
  };
}

function progress(hosts: number, copies: number, faults: string, set: Run['set'] = {}): Run {
  return { model: 'drop/progress', hosts, copies, faults, set: { HOSTS: hosts, N: copies, ...set }, expected: 'safe' };
}

const mutant = (run: Run, expected: Invariant): Run => ({ ...run, expected });
const long = (run: Run): Run => ({ ...run, isLong: true });

const NETWORK = 'network, restarts, grabs';

export const RUNS: readonly Run[] = [
  drop(3, 1, NETWORK),
  drop(3, 2, NETWORK),
  drop(3, 1, `${NETWORK}, rot`, { ROTS: 'ANY' }),
  drop(3, 2, `${NETWORK}, rot`, { ROTS: 'ANY' }),
  drop(4, 2, NETWORK),
  drop(4, 3, NETWORK),
  drop(2, 1, '3 nonces each, 2 restarts, 2 grabs', { ATTEMPTS: 3, RESTARTS: 2, GRABS: 2 }),
  drop(3, 1, '1 nonce each, 1 restart, 1 grab', { ATTEMPTS: 1, RESTARTS: 1, GRABS: 1 }),
  drop(3, 2, '1 nonce each, 1 restart, 1 grab', { ATTEMPTS: 1, RESTARTS: 1, GRABS: 1 }),
  dropMutant(1, 'grant from the index', { GRANTS_FROM_INDEX: true, ROTS: 'ANY' }),
  dropMutant(1, 'asks first, DROPPING later', { ASKS_FIRST: true }),
  dropMutant(1, 'nonce reused after a restart', { NONCE_REUSED: true, ATTEMPTS: 1, RESTARTS: 1, GRABS: 0 }, 2),
  dropMutant(1, 'grants survive an abort', { KEEPS_GRANTS: true }),
  dropMutant(1, 'a committed dropper grants', { COMMITTED_GRANTS: true }),
  dropMutant(1, 'deletion queued past a restart', { DELETION_QUEUED: true }),
  dropMutant(1, 'signs though it changed meanwhile', { SIGNS_UNSEEN: true, ROTS: 'ANY' }),
  mutant(drop(3, 1, 'the same, I3 asked, no rot', { SIGNS_UNSEEN: true }), 'I3'),
  expire(3, 3, 'network, restarts'),
  mutant(expire(2, 3, 'head forgotten at restart', { HEAD_FORGOTTEN: true }), 'I13'),
  mutant(expire(2, 3, 'acts before it is durable', { ACTS_BEFORE_DURABLE: true }), 'I13'),
  mutant(expire(2, 3, 'counts without `head` op', { COUNTS_WITHOUT_HEAD: true }), 'I13'),
  mutant(expire(2, 3, 'older head accepted', { OLDER_HEAD_ACCEPTED: true }), 'I13'),
  epoch(6, 4, 'set back, emptied'),
  mutant(epoch(5, 3, 'lower epoch believed', { LOWER_EPOCH_BELIEVED: true }), 'forward'),
  mutant(epoch(5, 3, 'fork believed', { FORK_BELIEVED: true }), 'forward'),
  mutant(epoch(5, 3, 'epoch from own count only', { EPOCH_FROM_OWN: true }), 'forward'),
  progress(3, 1, '1 restart'),
  progress(3, 2, '1 restart'),
  mutant(progress(3, 1, 'never yields', { NEVER_YIELDS: true }), 'settles'),
  mutant(progress(3, 2, 'never yields', { NEVER_YIELDS: true }), 'settles'),
  mutant(progress(3, 1, 'begins anew while it reads', { STARTS_WHILE_READING: true }), 'settles'),
  long(drop(4, 1, NETWORK)),
  long(drop(4, 1, `${NETWORK}, rot`, { ROTS: 'ANY' })),
  long(drop(4, 2, `${NETWORK}, rot`, { ROTS: 'ANY' })),
  long(drop(4, 3, `${NETWORK}, rot`, { ROTS: 'ANY' })),
  long(expire(3, 4, 'network, restarts')),
  long(epoch(7, 4, 'set back, emptied')),
  long(progress(4, 3, 'no restart', { RESTARTS: 0 })),
];
