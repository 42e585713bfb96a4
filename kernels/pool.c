/* The WebAssembly build's exports: the kernels by number, and threads that were started as workers on the same memory. */
#ifdef __wasm__
#include "pool.h"
#include "table.h"

#define DECLARE(name) kernel name;
KERNELS(DECLARE)
#define ENTRY(name) name,
static kernel *const table[] = {KERNELS(ENTRY)};
#define NAME(name) #name "\n"
static const char names[] = KERNELS(NAME);

static pool the_pool __attribute__((aligned(128)));

static void do_chunk(pool *p, i32 chunk, i32 chunks) { table[p->kernel](HEAP(p->args), chunk, chunks); }
static void sleep_while(u32 *address, u32 value, i64 nanoseconds) { __builtin_wasm_memory_atomic_wait32((i32 *)address, (i32)value, nanoseconds); }
static void wake(u32 *address, u32 count) { __builtin_wasm_memory_atomic_notify((i32 *)address, count); }
static void breathe(void) {}

#define EXPORT(name) __attribute__((export_name(#name)))
EXPORT(kernel_names) const char *kernel_names(void) { return names; }
EXPORT(pool_address) pool *pool_address(void) { return &the_pool; }
EXPORT(thread_main) void thread_main(void) { serve(&the_pool); }
EXPORT(wake_all) void wake_all(void) { wake_workers(&the_pool); }
EXPORT(run) void run(u32 kernel, u32 args, i32 chunks) { run_chunks(&the_pool, kernel, args, chunks); }

#endif
