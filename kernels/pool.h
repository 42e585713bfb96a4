/*
 * Fork and join, the same for WebAssembly and native threads. One job at a time lies in the pool; the main thread and the
 * workers take its chunks one by one until none is left, so a worker that the system has put aside never holds up more
 * than the chunk it has. Waiting is a bounded look-out first and sleep afterwards.
 *
 * Exactly once: a chunk is taken by an atomic add to `ticket`, which holds the job's number of chunks and the next chunk in one
 * word. A worker that comes late either gets a chunk of the job that is there now (whose kernel and args were written
 * before its ticket, and which cannot end before that worker reports) or none at all.
 *
 * Who includes this says how, beforehand: `do_chunk`, `sleep_while`, `wake` and `breathe` below.
 */
#ifndef POOL_H
#define POOL_H
#include "vitrine.h"

/* Each line is written by a different party, so each has its own 64 bytes (128: neighbours are fetched in pairs). */
typedef struct {
  /* written by the main thread */
  u32 kernel;
  u32 args;
  u32 workers;  /* how many may come; 0: loop here */
  u32 may_wait; /* may the main thread sleep? Not in a page */
  u32 spin;     /* rounds of looking before sleeping */
  u32 stop;
  u32 job; /* number of the last job; workers sleep on it */
  char gap1[128 - 28];
  /* written by all */
  u64 ticket; /* chunks << 32 | next */
  char gap2[128 - 8];
  u32 done;
  u32 main_waits;
  char gap3[128 - 8];
  u32 sleepers;
  char gap4[128 - 4];
} pool;

/* One chunk of the pool's job. */
static void do_chunk(pool *p, i32 chunk, i32 chunks);
/* Sleeps until woken if *address still is `value`; may return for no reason. nanoseconds -1: for ever. */
static void sleep_while(u32 *address, u32 value, i64 nanoseconds);
/* Wakes up to `count` of those that sleep on `address`. */
static void wake(u32 *address, u32 count);
/* Between two looks. */
static void breathe(void);

INLINE u32 get(u32 *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
INLINE void set(u32 *p, u32 value) { __atomic_store_n(p, value, __ATOMIC_SEQ_CST); }
INLINE i32 chunks_left(u64 ticket) { return (u32)ticket < (u32)(ticket >> 32); }

/* Takes and does chunks until none is left; reports how many. */
static u32 work(pool *p) {
  u32 mine = 0;
  while (chunks_left(__atomic_load_n(&p->ticket, __ATOMIC_SEQ_CST))) {
    u64 ticket = __atomic_fetch_add(&p->ticket, 1, __ATOMIC_SEQ_CST);
    if (!chunks_left(ticket)) break;
    do_chunk(p, (i32)(u32)ticket, (i32)(ticket >> 32));
    mine++;
  }
  return mine;
}

/* A worker's life, until `stop`. */
static void serve(pool *p) {
  u32 seen = get(&p->job);
  while (!get(&p->stop)) {
    u32 mine = work(p);
    if (mine) {
      __atomic_fetch_add(&p->done, mine, __ATOMIC_SEQ_CST);
      if (get(&p->main_waits)) wake(&p->done, 1);
    }
    for (u32 i = p->spin; i > 0 && get(&p->job) == seen; i--) breathe();
    if (get(&p->job) == seen) {
      __atomic_fetch_add(&p->sleepers, 1, __ATOMIC_SEQ_CST);
      while (get(&p->job) == seen) sleep_while(&p->job, seen, -1);
      __atomic_fetch_sub(&p->sleepers, 1, __ATOMIC_SEQ_CST);
    }
    seen = get(&p->job);
  }
}

/* Everybody looks up: for a job, or because `stop` was set. */
static void wake_workers(pool *p) {
  __atomic_fetch_add(&p->job, 1, __ATOMIC_SEQ_CST);
  wake(&p->job, 1 << 20);
}

static void fork_join(pool *p, u32 chunks) {
  set(&p->done, 0);
  __atomic_store_n(&p->ticket, (u64)chunks << 32, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&p->job, 1, __ATOMIC_SEQ_CST);
  if (get(&p->sleepers)) wake(&p->job, 1 << 20);
  u32 mine = work(p), others = chunks - mine;
  if (!others) return;
  for (u32 i = p->spin; i > 0; i--) {
    if (get(&p->done) == others) return;
    breathe();
  }
  if (!p->may_wait) {
    while (get(&p->done) != others) breathe();
    return;
  }
  set(&p->main_waits, 1);
  for (u32 done; (done = get(&p->done)) != others;) sleep_while(&p->done, done, 1000000);
  set(&p->main_waits, 0);
}

/* Does all chunks of one kernel; when it returns they are done. */
INLINE void run_chunks(pool *p, u32 kernel, u32 args, i32 chunks) {
  p->kernel = kernel;
  p->args = args;
  if (chunks > 1 && p->workers) {
    fork_join(p, (u32)chunks);
    return;
  }
  for (i32 chunk = 0; chunk < chunks; chunk++) do_chunk(p, chunk, chunks);
}

#endif
