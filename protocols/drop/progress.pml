/*
 * Progress: does a surplus go away, if every holder wants to drop at once and each denies the others?
 *
 * The question is about yielding: with it the surplus ends at N copies and stays there; without it the hosts may deny
 * each other for ever (NEVER_YIELDS). drop.pml asks about safety, with a worse network. Here messages arrive
 * eventually, restarts are few, and an attempt ends when it can no longer succeed: a time limit that strikes before the
 * answers can arrive would keep any such protocol from ending.
 *
 * Only the messages of running attempts matter. They are forgotten with the attempt, so the number of attempts is
 * unlimited.
 */
#ifndef HOSTS
#define HOSTS 3
#endif
#ifndef N
#define N 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

#define ABSENT 0
#define PRESENT 1
#define DROPPING 2
#define COMMIT 3

#define BIT(h) (1 << (h))
#define HAS(mask, h) ((mask) & BIT(h))
#define ADD(mask, h) mask = (mask) | BIT(h)
#define REMOVE(mask, h) mask = (mask) & (255 - BIT(h))
#define ONES(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))

#ifdef NEVER_YIELDS
#define YIELDS(h, x) false
#else
#define YIELDS(h, x) (phase[h] == DROPPING && x < h)
#endif

/* Whether a host may begin an attempt while it reads for another's: that wastes the read, and its answer is a denial. */
#ifdef STARTS_WHILE_READING
#define MAY_START(h) true
#else
#define MAY_START(h) (reads[h] == 0)
#endif

byte phase[HOSTS];
byte copies = HOSTS;
byte reading[HOSTS]; /* of a dropper: hosts that read for its attempt */
byte granted[HOSTS]; /* hosts that grant it */
byte denied[HOSTS];  /* hosts that deny it */
byte reads[HOSTS];   /* how many reads a host has in flight */
byte stale[HOSTS];   /* of a dropper: its readers that have left the generation in which their read began */
byte restarts;

hidden byte at;

/* Its answers and the reads for it are no longer needed. */
inline forget_attempt(x) {
  for (at : 0 .. HOSTS - 1) {
    if
    :: HAS(reading[x], at) -> reads[at]--
    :: else
    fi
  }
  reading[x] = 0;
  granted[x] = 0;
  denied[x] = 0;
  stale[x] = 0
}

/* A read in flight at h will not be signed. */
inline leave_generation(h) {
  for (at : 0 .. HOSTS - 1) {
    if
    :: HAS(reading[at], h) -> ADD(stale[at], h)
    :: else
    fi
  }
}

proctype Host(byte h) {
  do
  :: d_step {
       phase[h] == PRESENT && copies > N && MAY_START(h) ->
       leave_generation(h);
       phase[h] = DROPPING
     }
  :: d_step { phase[h] == DROPPING && ONES(granted[h]) >= N -> phase[h] = COMMIT }
  :: d_step { phase[h] == DROPPING && HOSTS - 1 - ONES(denied[h]) < N -> forget_attempt(h); phase[h] = PRESENT }
  :: d_step { phase[h] == COMMIT -> forget_attempt(h); copies--; phase[h] = ABSENT }
  :: d_step {
       phase[h] != ABSENT && restarts < RESTARTS ->
       restarts++;
       forget_attempt(h);
       leave_generation(h);
       phase[h] = PRESENT
     }
  od
}

/* Request and answer between two hosts. One process per pair: then fairness means that each is served repeatedly. */
proctype Wire(byte h; byte x) {
  do
  :: d_step {
       phase[x] == DROPPING && !HAS(reading[x] | granted[x] | denied[x], h) ->
       if
       :: phase[h] == PRESENT -> ADD(reading[x], h); reads[h]++
       :: YIELDS(h, x) -> forget_attempt(h); phase[h] = PRESENT; ADD(reading[x], h); reads[h]++
       :: else -> ADD(denied[x], h)
       fi
     }
  :: d_step {
       HAS(reading[x], h) ->
       REMOVE(reading[x], h);
       reads[h]--;
       if
       :: phase[h] == PRESENT && !HAS(stale[x], h) -> ADD(granted[x], h)
       :: else -> ADD(denied[x], h)
       fi;
       REMOVE(stale[x], h)
     }
  od
}

init {
  byte h, x;
  atomic {
    for (h : 0 .. HOSTS - 1) {
      phase[h] = PRESENT;
      run Host(h);
      for (x : 0 .. HOSTS - 1) {
        if
        :: x != h -> run Wire(h, x)
        :: else
        fi
      }
    }
    h = 0; x = 0
  }
}

ltl settles { <>[] (copies == N) }
