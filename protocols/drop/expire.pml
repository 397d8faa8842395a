/*
 * Expire: may a holder remove its copy of a parcel that the newest head it knows does not list any more?
 *
 * One source, one parcel, HOLDERS holders, N wanted copies. The origin publishes heads 1 to HEADS, each of which lists the parcel
 * or does not. A head that was once published may reach any holder at any time, late, never, or again and again; so may
 * what a holder's log has said. Holders restart whenever they like. The origin calls its newest head protected as soon as it
 * knows of N copies that count for it.
 *
 * Keeps I13: while the heads since then list the parcel, what was called protected has N copies. With it goes of I7 that what
 * a holder knows of heads never goes back. Each mutant takes one rule away. model.md beside this says what stands for what.
 */
#ifndef HOLDERS
#define HOLDERS 3
#endif
#ifndef N
#define N 2
#endif
#ifndef HEADS
#define HEADS 4
#endif

#define BIT(q) (1 << (q))
#define HAS(mask, q) ((mask) & BIT(q))
#define ADD(mask, q) mask = (mask) | BIT(q)

#ifdef OLDER_HEAD_ACCEPTED
#define ACCEPTS(h, q) (heard[h] != q)
#else
#define ACCEPTS(h, q) (heard[h] < q)
#endif

/* By what a holder acts: says, grabs, expires. */
#ifdef ACTS_BEFORE_DURABLE
#define KNOWN(h) heard[h]
#else
#define KNOWN(h) durable[h]
#endif

/* Whether the origin has been told that this copy counts for its newest head. */
#ifdef COUNTS_WITHOUT_HEAD
#define COUNTS(h) (said[h] != 0)
#else
#define COUNTS(h) (HAS(said[h], newest))
#endif

byte newest;
bit lists[HEADS + 1];   /* whether that head lists the parcel; there is no head 0 */
bit protected;

byte heard[HOLDERS];    /* the newest head, in memory */
byte durable[HOLDERS];  /* the same on the disk */
bit copy[HOLDERS];
byte copies;
short said[HOLDERS];    /* what the log has said, per head: "I have a copy, and durably this head" */

hidden byte at;
hidden byte enough;
hidden byte I13;

proctype Origin() {
end:
  do
  :: d_step { newest < HEADS -> newest++; lists[newest] = 1 }
  :: d_step { newest < HEADS -> newest++; protected = 0 }
  :: d_step {
       lists[newest] && !protected ->
       enough = 0;
       for (at : 0 .. HOLDERS - 1) {
         if
         :: COUNTS(at) -> enough++
         :: else
         fi
       }
       if
       :: enough >= N -> protected = 1; I13 = copies >= N; assert(I13)
       :: else
       fi
     }
  od
}

proctype Holder(byte h) {
end:
  do
  :: d_step { durable[h] != heard[h] -> durable[h] = heard[h] }
  :: d_step { !copy[h] && lists[KNOWN(h)] -> copy[h] = 1; copies++ }
  :: d_step { copy[h] && KNOWN(h) > 0 && !HAS(said[h], KNOWN(h)) -> ADD(said[h], KNOWN(h)) }
  /* The grace may end at any time. */
  :: d_step {
       copy[h] && KNOWN(h) > 0 && !lists[KNOWN(h)] ->
       copy[h] = 0;
       copies--;
       I13 = !protected || copies >= N;
       assert(I13)
     }
  /* A restart. */
#ifdef HEAD_FORGOTTEN
  :: d_step { heard[h] > 0 -> heard[h] = 0; durable[h] = 0 }
#else
  :: d_step { heard[h] != durable[h] -> heard[h] = durable[h] }
#endif
  od
}

/* A head on its way to a holder, for ever. */
proctype Delivery(byte h; byte q) {
end:
  do
  :: d_step { q <= newest && ACCEPTS(h, q) -> heard[h] = q }
  od
}

init {
  byte h, q;
  atomic {
    run Origin();
    for (h : 0 .. HOLDERS - 1) {
      run Holder(h);
      for (q : 1 .. HEADS) { run Delivery(h, q) }
    }
    h = 0; q = 0
  }
}
