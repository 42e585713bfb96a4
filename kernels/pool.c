/*
 * Fork and join. One job at a time lies in the pool; the main thread and the workers take its chunks one by one until
 * none is left, so a worker that the system has put aside never holds up more than the chunk it has.
 *
 * Exactly once: a chunk is taken by an atomic add to `ticket`, which holds the job's number of chunks and the next chunk in one
 * word. A worker that comes late either gets a chunk of the job that is there now (whose kernel and args were written
 * before its ticket, and which cannot end before that worker reports) or none at all.
 */
#include "vitrine.h"
#include "table.h"

typedef void kernel(const void *words, i32 chunk, i32 chunks);

#define DECLARE(name) kernel name;
KERNELS(DECLARE)
#define ENTRY(name) name,
static kernel *const table[] = {KERNELS(ENTRY)};
#define NAME(name) #name "\n"
static const char names[] = KERNELS(NAME);

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
EXPORT(kernel_names) const char *kernel_names(void) { return names; }
#else
#define EXPORT(name)
const char *vitrine_kernel_names(void) { return names; }
#endif

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

static pool the_pool __attribute__((aligned(128)));

#ifdef __wasm__

INLINE u32 get(u32 *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
INLINE void set(u32 *p, u32 value) { __atomic_store_n(p, value, __ATOMIC_SEQ_CST); }
INLINE i32 chunks_left(u64 ticket) { return (u32)ticket < (u32)(ticket >> 32); }

/* Takes and does chunks until none is left; reports how many. */
static u32 work(pool *p) {
  u32 mine = 0;
  while (chunks_left(__atomic_load_n(&p->ticket, __ATOMIC_SEQ_CST))) {
    u64 ticket = __atomic_fetch_add(&p->ticket, 1, __ATOMIC_SEQ_CST);
    if (!chunks_left(ticket)) break;
    table[p->kernel](HEAP(p->args), (i32)(u32)ticket, (i32)(ticket >> 32));
    mine++;
  }
  return mine;
}

EXPORT(thread_main) void thread_main(void) {
  pool *p = &the_pool;
  u32 seen = get(&p->job);
  for (;;) {
    u32 mine = work(p);
    if (mine) {
      __atomic_fetch_add(&p->done, mine, __ATOMIC_SEQ_CST);
      if (get(&p->main_waits)) __builtin_wasm_memory_atomic_notify((i32 *)&p->done, 1);
    }
    for (u32 i = p->spin; i > 0 && get(&p->job) == seen; i--) {
    }
    if (get(&p->job) == seen) {
      __atomic_fetch_add(&p->sleepers, 1, __ATOMIC_SEQ_CST);
      while (get(&p->job) == seen) __builtin_wasm_memory_atomic_wait32((i32 *)&p->job, (i32)seen, -1);
      __atomic_fetch_sub(&p->sleepers, 1, __ATOMIC_SEQ_CST);
    }
    if (get(&p->stop)) return;
    seen = get(&p->job);
  }
}

EXPORT(wake_all) void wake_all(void) {
  __atomic_fetch_add(&the_pool.job, 1, __ATOMIC_SEQ_CST);
  __builtin_wasm_memory_atomic_notify((i32 *)&the_pool.job, 1 << 20);
}

static void fork_join(pool *p, u32 chunks) {
  set(&p->done, 0);
  __atomic_store_n(&p->ticket, (u64)chunks << 32, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&p->job, 1, __ATOMIC_SEQ_CST);
  if (get(&p->sleepers)) __builtin_wasm_memory_atomic_notify((i32 *)&p->job, 1 << 20);
  u32 mine = work(p), others = chunks - mine;
  if (!others) return;
  for (u32 i = p->spin; i > 0; i--)
    if (get(&p->done) == others) return;
  if (!p->may_wait) {
    while (get(&p->done) != others) {
    }
    return;
  }
  set(&p->main_waits, 1);
  for (u32 done; (done = get(&p->done)) != others;) __builtin_wasm_memory_atomic_wait32((i32 *)&p->done, (i32)done, 1000000);
  set(&p->main_waits, 0);
}

#endif

EXPORT(pool_address) pool *pool_address(void) { return &the_pool; }

/* Does all chunks of one kernel; when it returns they are done. */
EXPORT(run) void run(u32 kernel, u32 args, i32 chunks) {
#ifdef __wasm__
  if (chunks > 1 && the_pool.workers) {
    the_pool.kernel = kernel;
    the_pool.args = args;
    fork_join(&the_pool, (u32)chunks);
    return;
  }
#endif
  for (i32 chunk = 0; chunk < chunks; chunk++) table[kernel](HEAP(args), chunk, chunks);
}
