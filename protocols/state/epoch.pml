/*
 * Epoch: which words of a store's log does a reader believe after the store was replaced, emptied or set back?
 *
 * One store and one reader of its log. The writer says up to WORDS words, in up to EPOCHS epochs. Each word may reach
 * the reader at any time, late, never, or repeatedly. Two things may go wrong with the store. It is set back within its
 * epoch and nobody notices, so that it goes on from an earlier word. Or there is doubt, and it begins a new epoch,
 * counting from whichever of its own epochs it still knows.
 *
 * Keeps: what the reader believes never goes back in time. Otherwise a copy that it knows to be lost would count again,
 * as one of the N that nobody repairs and that `protected` relies on. (No drop relies on it: a grant is read from the
 * disk.)
 */
#ifndef WORDS
#define WORDS 5
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif

#define BIT(p) (1 << (p))
#define HAS(mask, p) ((mask) & BIT(p))

/* What a new epoch is counted from: the wall clock and the peers know of every epoch before it. */
#ifdef EPOCH_FROM_OWN
#define HIGHEST(own) own
#else
#define HIGHEST(own) highest
#endif

/* Words are numbered in the order in which they were said, which nobody knows; there is no word 0. */
byte words;
byte epochOf[WORDS + 1];
byte seqOf[WORDS + 1];
byte lineOf[WORDS + 1];   /* a mask of the word and those it goes on from: what the hash chain shows */

/* The writer. */
byte epoch = 1;
byte highest = 1;
byte last;                /* its log ends with this word */
byte before[WORDS + 1];

/* The reader. */
byte readEpoch;
byte believed;            /* 0: nothing counts */
byte latest;              /* the reader does not know this: the latest word that it ever believed */

hidden byte forward;

inline believe(p) {
  forward = p >= latest;
  readEpoch = epochOf[p];
  believed = p;
  latest = p;
  assert(forward)
}

proctype Writer() {
end:
  do
  :: d_step {
       words < WORDS ->
       words++;
       epochOf[words] = epoch;
       seqOf[words] = seqOf[last] + 1;
       lineOf[words] = lineOf[last] | BIT(words);
       before[words] = last;
       last = words
     }
  /* Set back, unnoticed. */
  :: d_step { last > 0 -> last = before[last] }
  /* Doubt: first with the state folder as it was, then with one from the first epoch. */
  :: d_step { HIGHEST(epoch) < EPOCHS -> epoch = HIGHEST(epoch) + 1; highest = (epoch > highest -> epoch : highest); last = 0 }
  :: d_step { HIGHEST(1) < EPOCHS -> epoch = HIGHEST(1) + 1; highest = (epoch > highest -> epoch : highest); last = 0 }
  od
}

/* A word that stays on its way to the reader for ever. */
proctype Delivery(byte p) {
end:
  do
  :: d_step { p <= words && epochOf[p] > readEpoch -> believe(p) }
#ifdef FORK_BELIEVED
  :: d_step { p <= words && epochOf[p] == readEpoch && seqOf[p] > seqOf[believed] -> believe(p) }
#else
  :: d_step { p <= words && epochOf[p] == readEpoch && believed > 0 && p != believed && HAS(lineOf[p], believed) -> believe(p) }
  /* Neither goes on from the other: nothing counts until a greater epoch. */
  :: d_step {
       p <= words && epochOf[p] == readEpoch && believed > 0 && !HAS(lineOf[p], believed) && !HAS(lineOf[believed], p) ->
       believed = 0
     }
#endif
#ifdef LOWER_EPOCH_BELIEVED
  :: d_step { p <= words && epochOf[p] < readEpoch -> believe(p) }
#endif
  od
}

init {
  byte p;
  atomic {
    run Writer();
    for (p : 1 .. WORDS) { run Delivery(p) }
    p = 0
  }
}
