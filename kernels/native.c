/*
 * The Node-API add-on: the kernels on a WebAssembly.Memory from outside, with threads of its own. src/host/node-native.ts
 * loads it; tools/build-native.mjs compiles this file and instruction-set.c once for each set (-DWITH_avx2 says which came out).
 *
 * exports: version, kernelNames ("fill\ncopy\n..."), instructionSets (those built that this processor has, slowest first),
 * open(memory, job, set, threads, spin) -> { run(), attach(memory), close(), threads }.
 * `memory` is a Uint8Array over all of the memory. `job` is where run() finds its three words: kernel, chunks, and offset of the arguments.
 * Everything a device needs hangs on its own `device` struct, so any number of them may live in one process, in any of its JavaScript threads.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define NAPI_VERSION 8
#include <node_api.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#include "native-threads.h"
#include "pool.h"
#include "table.h"

__thread char *vitrine_heap;

#define NAME(name) #name "\n"
static const char kernel_names[] = KERNELS(NAME);
#define COUNT(name) +1
enum { KERNEL_COUNT = 0 KERNELS(COUNT) };

/* ---- instruction sets, slowest first ---- */

#if defined(__x86_64__)
#include <cpuid.h>
/* GCC and clang ask the processor and whether the system saves the registers. F16C has no name in older ones. */
static i32 has_f16c(void) {
  u32 a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}
static i32 has_sse2(void) { return 1; }
static i32 has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") && has_f16c(); }
static i32 has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
/* VNNI multiplies bytes four at a time: for small weights only. Processors without AVX-512 may have it too, for AVX vectors. */
static i32 has_avxvnni(void) {
  u32 a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
static i32 has_avx512vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#elif defined(__aarch64__)
static i32 has_neon(void) { return 1; }
#ifdef __linux__
#include <sys/auxv.h>
static i32 has_neondot(void) { return getauxval(AT_HWCAP) >> 20 & 1; } /* HWCAP_ASIMDDP */
#else
static i32 has_neondot(void) { return 1; } /* every Apple processor that runs Node */
#endif
#endif

typedef struct {
  const char *name;
  i32 (*runs_here)(void);
  kernel *const *kernels;
} instruction_set;

#ifdef WITH_sse2
extern kernel *const sse2_kernels[];
#endif
#ifdef WITH_avx2
extern kernel *const avx2_kernels[];
#endif
#ifdef WITH_avxvnni
extern kernel *const avxvnni_kernels[];
#endif
#ifdef WITH_avx512
extern kernel *const avx512_kernels[];
#endif
#ifdef WITH_avx512vnni
extern kernel *const avx512vnni_kernels[];
#endif
#ifdef WITH_neon
extern kernel *const neon_kernels[];
#endif
#ifdef WITH_neondot
extern kernel *const neondot_kernels[];
#endif

static const instruction_set sets[] = {
#ifdef WITH_sse2
    {"sse2", has_sse2, sse2_kernels},
#endif
#ifdef WITH_avx2
    {"avx2", has_avx2, avx2_kernels},
#endif
#ifdef WITH_avxvnni
    {"avxvnni", has_avxvnni, avxvnni_kernels},
#endif
#ifdef WITH_avx512
    {"avx512", has_avx512, avx512_kernels},
#endif
#ifdef WITH_avx512vnni
    {"avx512vnni", has_avx512vnni, avx512vnni_kernels},
#endif
#ifdef WITH_neon
    {"neon", has_neon, neon_kernels},
#endif
#ifdef WITH_neondot
    {"neondot", has_neondot, neondot_kernels},
#endif
};
#define SET_COUNT ((i32)(sizeof sets / sizeof *sets))

/* ---- devices ---- */

typedef struct {
  pool pool; /* first: a pool's address is its device's */
  char *heap;
  kernel *const *kernels;
  u32 job; /* offset of run()'s words */
  u32 open;
  i32 functions; /* JavaScript functions that still point here */
  napi_env env;
  napi_ref memory; /* keeps the heap alive */
  pthread_t threads[];
} device;

static void do_chunk(pool *p, i32 chunk, i32 chunks) {
  device *d = (device *)p;
  vitrine_heap = d->heap;
  d->kernels[p->kernel](HEAP(p->args), chunk, chunks);
}

static void *thread_main(void *data) {
  serve(data);
  return 0;
}

/* Attention keeps up to 150 KB of work arrays on the stack. */
#define STACK_BYTES (2 << 20)

/* Starts up to `count` threads, that hear no signals; what the system refuses the others do. */
static void start_threads(device *d, u32 count) {
  pthread_attr_t attributes;
  sigset_t all, before;
  if (pthread_attr_init(&attributes)) return;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (d->pool.workers < count && pthread_create(&d->threads[d->pool.workers], &attributes, thread_main, d) == 0) d->pool.workers++;
  pthread_sigmask(SIG_SETMASK, &before, 0);
  pthread_attr_destroy(&attributes);
}

/* Ends the threads and waits for them: their code may be unloaded next. Again is harmless. */
static void close_device(void *data) {
  device *d = data;
  if (!d->open) return;
  d->open = 0;
  u32 count = d->pool.workers;
  d->pool.workers = 0;
  set(&d->pool.stop, 1);
  wake_workers(&d->pool);
  for (u32 i = 0; i < count; i++) pthread_join(d->threads[i], 0);
}

/* How many rounds of looking take `nanoseconds`: a `pause` costs 10 to 140 cycles, depending on the processor. */
static u32 rounds_in(i64 nanoseconds) {
  enum { ROUNDS = 100 };
  i64 least = 1 << 30;
  for (i32 i = 0; i < 5; i++) {
    i64 start = nanoseconds_now();
    for (i32 j = 0; j < ROUNDS; j++) breathe();
    i64 took = nanoseconds_now() - start;
    if (took < least) least = took;
  }
  return (u32)(nanoseconds * ROUNDS / (least > 0 ? least : 1));
}

/* ---- what JavaScript sees ---- */

#define CHECK(call)                                             \
  do {                                                          \
    if ((call) != napi_ok) {                                    \
      napi_throw_error(env, 0, "internal: " #call " failed");   \
      return 0;                                                 \
    }                                                           \
  } while (0)

static napi_value refuse(napi_env env, const char *message) {
  napi_throw_error(env, 0, message);
  return 0;
}

static napi_value js_run(napi_env env, napi_callback_info info) {
  void *data = 0;
  napi_get_cb_info(env, info, 0, 0, 0, &data);
  device *d = data;
  if (!d->open) return refuse(env, "internal: a device was used after its dispose");
  const u32 *job = (const u32 *)(d->heap + d->job);
  if (job[0] >= KERNEL_COUNT) return refuse(env, "internal: no such kernel");
  run_chunks(&d->pool, job[0], job[2], (i32)job[1]);
  return 0;
}

/* Takes a Uint8Array over the whole memory, which must reach behind the job's words, and keeps it. */
static i32 attach_memory(napi_env env, device *d, napi_value view) {
  napi_typedarray_type type;
  size_t length;
  void *data;
  napi_ref memory;
  if (napi_get_typedarray_info(env, view, &type, &length, &data, 0, 0) != napi_ok || type != napi_uint8_array || length < (size_t)d->job + 12 || !data)
    return 0;
  if (napi_create_reference(env, view, 1, &memory) != napi_ok) return 0;
  if (d->memory) napi_delete_reference(env, d->memory);
  d->memory = memory;
  d->heap = data;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  /* Weights are streamed: large pages spare address translation. Only advice, so a refusal does not matter. */
  madvise(data, length, MADV_HUGEPAGE);
#endif
  return 1;
}

static napi_value js_attach(napi_env env, napi_callback_info info) {
  void *data = 0;
  size_t count = 1;
  napi_value view;
  CHECK(napi_get_cb_info(env, info, &count, &view, 0, &data));
  if (count < 1 || !attach_memory(env, data, view)) return refuse(env, "internal: attach wants a Uint8Array over the heap");
  return 0;
}

static napi_value js_close(napi_env env, napi_callback_info info) {
  void *data = 0;
  napi_get_cb_info(env, info, 0, 0, 0, &data);
  device *d = data;
  close_device(d);
  if (d->memory) napi_delete_reference(env, d->memory);
  d->memory = 0;
  return 0;
}

static void free_device(device *d) {
  napi_remove_env_cleanup_hook(d->env, close_device, d);
  close_device(d);
  free(d);
}

/* One of the functions was collected; with the last goes the device, even if nobody closed it. */
static void forget(napi_env env, void *data, void *hint) {
  (void)hint;
  device *d = data;
  if (--d->functions > 0) return;
  if (d->memory) napi_delete_reference(env, d->memory);
  free_device(d);
}

static i32 give_function(napi_env env, napi_value object, const char *name, napi_callback callback, device *d) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, d, &function) != napi_ok) return 0;
  if (napi_add_finalizer(env, function, d, forget, 0, 0) != napi_ok) return 0;
  d->functions++;
  return napi_set_named_property(env, object, name, function) == napi_ok;
}

enum { MOST_THREADS = 1024 };

static napi_value js_open(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value args[5], object, number;
  u32 job, threads, spin;
  char name[16];
  CHECK(napi_get_cb_info(env, info, &count, args, 0, 0));
  if (count < 5 || napi_get_value_uint32(env, args[1], &job) != napi_ok || napi_get_value_string_utf8(env, args[2], name, sizeof name, 0) != napi_ok ||
      napi_get_value_uint32(env, args[3], &threads) != napi_ok || napi_get_value_uint32(env, args[4], &spin) != napi_ok)
    return refuse(env, "internal: open wants (memory, job, instruction set, threads, spin in nanoseconds)");
  if (threads < 1 || threads > MOST_THREADS) return refuse(env, "internal: open wants 1 to 1024 threads");
  const instruction_set *chosen = 0;
  for (i32 i = 0; i < SET_COUNT; i++)
    if (strcmp(sets[i].name, name) == 0) chosen = &sets[i];
  if (!chosen || !chosen->runs_here()) return refuse(env, "internal: this processor does not have that instruction set");

  device *d = 0;
  size_t bytes = sizeof(device) + (threads - 1) * sizeof(pthread_t);
  if (posix_memalign((void **)&d, 128, bytes)) return refuse(env, "out of memory");
  memset(d, 0, bytes);
  d->env = env;
  d->job = job;
  d->kernels = chosen->kernels;
  d->open = 1;
  d->pool.may_wait = 1;
  d->pool.spin = rounds_in(spin);
  if (!attach_memory(env, d, args[0])) {
    free(d);
    return refuse(env, "internal: open wants a Uint8Array over the heap");
  }
  napi_add_env_cleanup_hook(env, close_device, d);
  start_threads(d, threads - 1);

  CHECK(napi_create_object(env, &object));
  CHECK(napi_create_uint32(env, d->pool.workers + 1, &number));
  CHECK(napi_set_named_property(env, object, "threads", number));
  if (!give_function(env, object, "run", js_run, d) || !give_function(env, object, "attach", js_attach, d) || !give_function(env, object, "close", js_close, d)) {
    if (d->functions == 0) free_device(d); /* else the finalizers do it */
    return refuse(env, "internal: Node made no functions");
  }
  return object;
}

NAPI_MODULE_INIT() {
  napi_value value, list;
  CHECK(napi_create_uint32(env, KERNELS_VERSION, &value));
  CHECK(napi_set_named_property(env, exports, "version", value));
  CHECK(napi_create_string_utf8(env, kernel_names, NAPI_AUTO_LENGTH, &value));
  CHECK(napi_set_named_property(env, exports, "kernelNames", value));
  CHECK(napi_create_array(env, &list));
  u32 found = 0;
  for (i32 i = 0; i < SET_COUNT; i++) {
    if (!sets[i].runs_here()) continue;
    CHECK(napi_create_string_utf8(env, sets[i].name, NAPI_AUTO_LENGTH, &value));
    CHECK(napi_set_element(env, list, found++, value));
  }
  CHECK(napi_set_named_property(env, exports, "instructionSets", list));
  CHECK(napi_create_function(env, "open", NAPI_AUTO_LENGTH, js_open, 0, &value));
  CHECK(napi_set_named_property(env, exports, "open", value));
  return exports;
}
