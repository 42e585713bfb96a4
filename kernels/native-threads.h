/*
 * What pool.h asks of its includer, for native threads: sleeping on a word, waking, and a moment's rest; and the clock.
 * Linux sleeps on the word itself (futex); elsewhere, or with VITRINE_FUTEX=0, on one condition for all pools.
 */
#ifndef NATIVE_THREADS_H
#define NATIVE_THREADS_H
#include <pthread.h>
#include <time.h>
#include "vitrine.h"

#ifndef VITRINE_FUTEX
#ifdef __linux__
#define VITRINE_FUTEX 1
#else
#define VITRINE_FUTEX 0
#endif
#endif

static void breathe(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory"); /* `yield` does nothing on most cores; isb costs about what pause does */
#endif
}

static i64 nanoseconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

#if VITRINE_FUTEX

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static void sleep_while(u32 *address, u32 value, i64 nanoseconds) {
  struct timespec t = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, value, nanoseconds < 0 ? 0 : &t, 0, 0);
}
static void wake(u32 *address, u32 count) { syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, count, 0, 0, 0); }

#else

static pthread_mutex_t sleep_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sleep_condition = PTHREAD_COND_INITIALIZER;

/* The word is looked at under the mutex, and whoever changes it takes the mutex before waking: no wake is lost. */
static void sleep_while(u32 *address, u32 value, i64 nanoseconds) {
  pthread_mutex_lock(&sleep_mutex);
  if (__atomic_load_n(address, __ATOMIC_SEQ_CST) == value) {
    if (nanoseconds < 0) {
      pthread_cond_wait(&sleep_condition, &sleep_mutex);
    } else {
      struct timespec t;
      clock_gettime(CLOCK_REALTIME, &t);
      i64 end = (i64)t.tv_nsec + nanoseconds;
      t.tv_sec += (time_t)(end / 1000000000);
      t.tv_nsec = (long)(end % 1000000000);
      pthread_cond_timedwait(&sleep_condition, &sleep_mutex, &t);
    }
  }
  pthread_mutex_unlock(&sleep_mutex);
}
static void wake(u32 *address, u32 count) {
  (void)address, (void)count;
  pthread_mutex_lock(&sleep_mutex);
  pthread_cond_broadcast(&sleep_condition);
  pthread_mutex_unlock(&sleep_mutex);
}

#endif
#endif
