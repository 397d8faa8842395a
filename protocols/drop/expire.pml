/*
 * Expire: may a holder remove its copy of a parcel that the newest head it knows no longer lists?
 *
 * One source, one parcel, HOLDERS holders, N wanted copies. The origin publishes heads 1 to HEADS, each of which either
 * lists the parcel or does not. A published head may reach any holder at any time, late, never, or repeatedly; so may
 * the words of a holder's log. Holders restart at any time. The origin calls its newest head protected as soon as it
 * knows of N copies that count for it.
 *
 * Keeps I13: a parcel that was called protected has N copies for as long as every head since then lists it. This
 * includes the part of I7 that what a holder knows of heads never goes back. Each mutant removes one rule. model.md
 * beside this file says what stands for what.
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

/* The head that a holder acts by when it says, grabs or expires. */
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

/* A head that stays on its way to a holder for ever. */
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
