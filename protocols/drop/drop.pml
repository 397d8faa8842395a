/*
 * Drop: may a host remove its copy of a parcel, if all it knows is what other hosts once said?
 *
 * One parcel, HOSTS hosts that all have it, N wanted copies. The network is an adversary: whatever was ever sent may
 * arrive late, never, in any order, or repeatedly. Every host may pause between any two of its steps, restart, give up
 * an attempt, or grab the parcel again. There is no clock. Lower host numbers have higher priority.
 *
 * Keeps I1, I2 and I3 (src/DESIGN.md), each asserted where it could break. Each mutant removes one rule of the protocol,
 * and is asked only whether it breaks I1, that is, whether it loses a copy (I1_ONLY): a rule that saved no copy would
 * be idle.
 *
 * model.md beside this file says what stands for what and which runs there are.
 */
#ifndef HOSTS
#define HOSTS 3
#endif
#ifndef N
#define N 1
#endif

#define ANY 255
/*
 * Attempts per host. A number: each attempt has its own nonce, and its messages stay on their way for ever. ANY: no
 * limit. Then the messages of a finished attempt are forgotten, because they can change nothing: its nonce never comes
 * again, so no such grant is counted, and such a request could only make a dropper yield, which it may do anyway.
 */
#ifndef ATTEMPTS
#define ATTEMPTS ANY
#endif
/* How often, summed over all hosts, they restart, grab the parcel again, and find bytes rotten. */
#ifndef RESTARTS
#define RESTARTS ANY
#endif
#ifndef GRABS
#define GRABS ANY
#endif
#ifndef ROTS
#define ROTS 0
#endif

#if ATTEMPTS == ANY
#define NONCES 1
#define NONCE(x) 0
#define MAY_ATTEMPT(x) true
#else
#define NONCES ATTEMPTS
#define NONCE(x) (used[x] - 1)
#define MAY_ATTEMPT(x) (used[x] < ATTEMPTS)
#endif

#define MAY(count, limit) (limit == ANY || count < limit)
#define COUNT(count, limit) count = (limit == ANY -> 0 : count + 1)

/* ABSENT is also CORRUPT: the log says so, and only a fetch makes it PRESENT again. */
#define ABSENT 0
#define PRESENT 1
#define DROPPING 2
#define COMMIT 3
#define ASKING 4 /* only in the mutant that asks before it enters DROPPING */

#ifdef ASKS_FIRST
#define ATTEMPT ASKING
#else
#define ATTEMPT DROPPING
#endif

#ifdef COMMITTED_GRANTS
#define GRANTS(h) (phase[h] == PRESENT || phase[h] == COMMIT)
#elif defined(ASKS_FIRST)
#define GRANTS(h) (phase[h] == PRESENT || phase[h] == ASKING)
#else
#define GRANTS(h) (phase[h] == PRESENT)
#endif

#ifdef GRANTS_FROM_INDEX
#define READABLE(h) true
#else
#define READABLE(h) bytes[h]
#endif

/* Whether a grant is signed, now that the read is complete. */
#ifdef SIGNS_UNSEEN
#define SIGNS(h) true
#else
#define SIGNS(h) GRANTS(h)
#endif

#define BIT(h) (1 << (h))
#define HAS(mask, h) ((mask) & BIT(h))
#define ADD(mask, h) mask = (mask) | BIT(h)
#define REMOVE(mask, h) mask = (mask) & (255 - BIT(h))
#define ONES(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1) + (((m) >> 4) & 1))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* One attempt: its dropper and its nonce. */
#define OF(x, nonce) ((x) * NONCES + (nonce))

byte phase[HOSTS];
bit bytes[HOSTS];               /* the bytes on the disk match the parcel's id */
byte copies;                    /* hosts that are not ABSENT and have the bytes */

byte used[HOSTS];               /* nonces drawn */
bit asked[HOSTS * NONCES];      /* its request is on its way */
byte reading[HOSTS * NONCES];   /* hosts whose read for it is in flight, and found the bytes good */
byte granted[HOSTS * NONCES];   /* hosts whose signed grant for it is on its way */
byte counted[HOSTS];            /* hosts whose grant the dropper counts, for its present attempt */
byte since[HOSTS];              /* no host knows this: which hosts signed a grant for the attempt during the attempt */
bit queued[HOSTS];              /* only in the mutant whose deletion outlives a restart */

byte restarts, grabs, rots;

hidden byte at;                 /* needed only within a step, so not part of any state */
hidden byte busy;
hidden byte I1;
hidden byte I2;
hidden byte I3;

/* The attempt of x is over, whatever its outcome. */
inline forget_attempt(x) {
  counted[x] = 0;
  since[x] = 0;
#if ATTEMPTS == ANY
  asked[OF(x, 0)] = 0;
  reading[OF(x, 0)] = 0;
  granted[OF(x, 0)] = 0;
#endif
}

/* A read belongs to the generation in which it began. In a new one nothing is signed for it. */
inline enter_present(h) {
#ifndef SIGNS_UNSEEN
  forget_reads(h);
#endif
  phase[h] = PRESENT
}

inline forget_reads(h) {
  for (at : 0 .. HOSTS * NONCES - 1) { REMOVE(reading[at], h) }
}

inline abort(x) {
#ifdef KEEPS_GRANTS
  at = counted[x];
#endif
  forget_attempt(x);
#ifdef KEEPS_GRANTS
  counted[x] = at;
#endif
  enter_present(x)
}

/* `del` is durable: the copy no longer exists, and its bytes go to the trash, which never counts and never grants. */
inline remove_copy(x) {
  I1 = !bytes[x] || copies - 1 >= MIN(N, copies);
  copies = copies - bytes[x];
  phase[x] = ABSENT;
  bytes[x] = 0;
  queued[x] = 0;
  forget_attempt(x);
  assert(I1)
}

/* Into `busy`: hosts with a grant out for a running attempt. */
inline find_granters() {
  busy = 0;
  for (at : 0 .. HOSTS - 1) {
    if
    :: phase[at] == ATTEMPT || phase[at] == COMMIT -> busy = busy | granted[OF(at, NONCE(at))]
    :: else
    fi
  }
}

/* Adds to `busy` whether h is being read from just now. */
inline find_readers(h) {
  for (at : 0 .. HOSTS * NONCES - 1) { busy = busy | (reading[at] & BIT(h)) }
}

proctype Host(byte h) {
end:
  do
  /* It enters DROPPING, and only then is its request on its way. */
  :: d_step {
       phase[h] == PRESENT && MAY_ATTEMPT(h) ->
#if ATTEMPTS != ANY
       used[h]++;
#endif
       since[h] = 0;
       phase[h] = ATTEMPT;
       asked[OF(h, NONCE(h))] = 1
     }
  :: d_step {
       phase[h] == ATTEMPT && ONES(counted[h]) >= N ->
       phase[h] = COMMIT;
#ifdef DELETION_QUEUED
       queued[h] = 1;
#endif
#ifndef I1_ONLY
       I2 = (counted[h] & (255 - since[h])) == 0 && !HAS(counted[h], h);
       assert(I2)
#endif
     }
  :: d_step { phase[h] == COMMIT -> remove_copy(h) }
  :: d_step { phase[h] == ATTEMPT -> abort(h) }
  /* A restart: the log and the disk say what is held; no attempt and no read survives. */
  :: d_step {
       phase[h] != ABSENT && MAY(restarts, RESTARTS) ->
       COUNT(restarts, RESTARTS);
       forget_attempt(h);
       forget_reads(h);
#ifdef NONCE_REUSED
       used[h] = 0;
#endif
       phase[h] = PRESENT
     }
#ifdef DELETION_QUEUED
  :: d_step { queued[h] && phase[h] == PRESENT -> remove_copy(h) }
#endif
#if GRABS > 0
  :: d_step {
       phase[h] == ABSENT && copies > 0 && MAY(grabs, GRABS) ->
       COUNT(grabs, GRABS);
       bytes[h] = 1;
       copies++;
       enter_present(h)
     }
#endif
#if ROTS > 0
  /*
   * Rot that a scrub finds at once, and rot that nobody sees, except of bytes that are being read: that read came too
   * early. No rot strikes while a grant is out: the grant was true when it was made, and no protocol brings back what
   * is lost after it. This holds for every copy, because a granter may have dropped its own since, trusting in
   * another's.
   */
  :: d_step {
       phase[h] == PRESENT && bytes[h] && MAY(rots, ROTS) ->
       find_granters();
       if
       :: busy == 0 -> COUNT(rots, ROTS); bytes[h] = 0; copies--; phase[h] = ABSENT
       :: else
       fi
     }
  :: d_step {
       phase[h] != ABSENT && bytes[h] && MAY(rots, ROTS) ->
       find_granters();
       find_readers(h);
       if
       :: busy == 0 -> COUNT(rots, ROTS); bytes[h] = 0; copies--
       :: else
       fi
     }
#endif
  od
}

/* What may happen, between two hosts, to the messages of one attempt. */
proctype Wire(byte h; byte x; byte nonce) {
end:
  do
  /* The request arrives: a read begins, or a dropper yields first, or it is denied, which changes nothing here. */
  :: d_step {
       asked[OF(x, nonce)] && !HAS(reading[OF(x, nonce)] | granted[OF(x, nonce)], h) &&
         (GRANTS(h) || (phase[h] == DROPPING && x < h)) ->
       if
       :: phase[h] == DROPPING -> abort(h)
       :: else
       fi;
       if
       :: READABLE(h) -> ADD(reading[OF(x, nonce)], h)
       :: else
       fi
     }
  /* The read is complete. */
  :: d_step {
       HAS(reading[OF(x, nonce)], h) ->
       REMOVE(reading[OF(x, nonce)], h);
       if
       :: SIGNS(h) ->
          ADD(granted[OF(x, nonce)], h);
          if
          :: phase[x] == ATTEMPT && NONCE(x) == nonce -> ADD(since[x], h)
          :: else
          fi;
#ifndef I1_ONLY
          I3 = phase[h] == PRESENT && bytes[h];
          assert(I3)
#endif
       :: else
       fi
     }
  /* The grant arrives, and answers the running attempt. */
  :: d_step {
       HAS(granted[OF(x, nonce)], h) && phase[x] == ATTEMPT && NONCE(x) == nonce && !HAS(counted[x], h) ->
       ADD(counted[x], h)
     }
  od
}

init {
  byte h, x, nonce;
  atomic {
    for (h : 0 .. HOSTS - 1) {
      phase[h] = PRESENT;
      bytes[h] = 1;
      copies++;
      run Host(h);
      for (x : 0 .. HOSTS - 1) {
        for (nonce : 0 .. NONCES - 1) {
          if
          :: x != h -> run Wire(h, x, nonce)
          :: else
          fi
        }
      }
    }
    h = 0; x = 0; nonce = 0
  }
}
