/*
 * What every kernel stands on: number types, the vector type and its few operations, and how arguments are found.
 * Plain C (gnu11, vector extensions), no libc, no allocation. The same files compile to WebAssembly and natively;
 * everything that differs between targets is in this header and nowhere else.
 *
 * A kernel is `void name(const void *args, i32 chunk, i32 chunks)`. `args` points at its struct of 32-bit words in the heap
 * (offsets, counts, floats). It does part `chunk` of `chunks` equal parts of its outputs. No sum is ever split between
 * chunks, so the numbers do not depend on how many chunks there are or on which thread runs them.
 */
#ifndef VITRINE_H
#define VITRINE_H

#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

typedef int i32;
typedef unsigned u32;
typedef long long i64;
typedef unsigned long long u64;
typedef __SIZE_TYPE__ size;

#define INLINE static inline __attribute__((always_inline))

/* Offsets are bytes from the start of the heap: in WebAssembly that is address 0, natively wherever the memory lies. */
#ifdef __wasm__
#define HEAP(offset) ((void *)(size)(offset))
#else
/* Of the device whose job the thread is doing: several devices may live in one process. Set by native.c before each chunk. */
extern __thread char *vitrine_heap __attribute__((visibility("hidden")));
#define HEAP(offset) ((void *)(vitrine_heap + (size)(offset)))
#endif
#define F32(offset) ((float *)HEAP(offset))
#define I32(offset) ((i32 *)HEAP(offset))

/* LANES floats fill one vector. Clang and GCC lower wider vectors than the target has, so LANES follows the target. */
#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef i32 vi __attribute__((vector_size(4 * LANES)));
typedef u32 vu __attribute__((vector_size(4 * LANES)));
typedef float vfu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vfu *)p; }
INLINE void store(float *p, vf v) { *(vfu *)p = v; }
INLINE vf splat(float x) { return x - (vf){}; } /* x - 0, not x + 0: keeps -0 */
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* The same for the last few of a run: the first `count` lanes, or all when there are as many; the others are 0, and are not stored. */
INLINE vf load_part(const float *p, i32 count) {
  if (count >= LANES) return load(p);
  float some[LANES] = {0};
  for (i32 i = 0; i < count; i++) some[i] = p[i];
  return load(some);
}
INLINE void store_part(float *p, vf v, i32 count) {
  if (count >= LANES) store(p, v);
  else
    for (i32 i = 0; i < count; i++) p[i] = v[i];
}

/*
 * What comes last is done for the numbers `i` from `from` to `to`, a vector at a time; `n` of its lanes count, for load_part and
 * store_part. It is compiled twice: in the loop n is LANES and they are a load and a store.
 */
#define EACH_VECTOR(i, n, from, to, ...)        \
  do {                                          \
    i32 i = (from);                             \
    for (; i + LANES <= (to); i += LANES) {     \
      const i32 n = LANES;                      \
      __VA_ARGS__                               \
    }                                           \
    if (i < (to)) {                             \
      const i32 n = (to) - i;                   \
      __VA_ARGS__                               \
    }                                           \
  } while (0)

/* x * y + z: one rounding where the target can, two in the plain simd128 build. Kernels name it; the compiler never contracts on its own. */
#if defined(__wasm_relaxed_simd__)
INLINE vf madd(vf x, vf y, vf z) { return __builtin_wasm_relaxed_madd_f32x4(x, y, z); }
#elif defined(__AVX512F__)
INLINE vf madd(vf x, vf y, vf z) { return (vf)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z); }
#elif defined(__FMA__)
INLINE vf madd(vf x, vf y, vf z) { return (vf)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z); }
#elif defined(__ARM_NEON)
INLINE vf madd(vf x, vf y, vf z) { return (vf)vfmaq_f32((float32x4_t)z, (float32x4_t)x, (float32x4_t)y); }
#else
INLINE vf madd(vf x, vf y, vf z) { return x * y + z; }
#endif

#if defined(__wasm__)
INLINE vf square_root(vf x) { return __builtin_wasm_sqrt_f32x4(x); }
#elif defined(__AVX512F__)
INLINE vf square_root(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
INLINE vf square_root(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#elif defined(__SSE2__)
INLINE vf square_root(vf x) { return (vf)_mm_sqrt_ps((__m128)x); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
INLINE vf square_root(vf x) { return (vf)vsqrtq_f32((float32x4_t)x); }
#else
INLINE vf square_root(vf x) {
  for (i32 i = 0; i < LANES; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
}
#endif

/* Both give x when x is not a number, so a NaN is passed on and never hidden. */
#ifdef __wasm__
INLINE vf at_least(vf x, vf low) { return __builtin_wasm_pmax_f32x4(x, low); }
INLINE vf at_most(vf x, vf high) { return __builtin_wasm_pmin_f32x4(x, high); }
#elif defined(__AVX512F__)
INLINE vf at_least(vf x, vf low) { return (vf)_mm512_max_ps((__m512)low, (__m512)x); }
INLINE vf at_most(vf x, vf high) { return (vf)_mm512_min_ps((__m512)high, (__m512)x); }
#elif defined(__AVX2__)
INLINE vf at_least(vf x, vf low) { return (vf)_mm256_max_ps((__m256)low, (__m256)x); }
INLINE vf at_most(vf x, vf high) { return (vf)_mm256_min_ps((__m256)high, (__m256)x); }
#elif defined(__SSE2__)
INLINE vf at_least(vf x, vf low) { return (vf)_mm_max_ps((__m128)low, (__m128)x); }
INLINE vf at_most(vf x, vf high) { return (vf)_mm_min_ps((__m128)high, (__m128)x); }
#else
INLINE vf at_least(vf x, vf low) { return choose((vi)(x < low), low, x); }
INLINE vf at_most(vf x, vf high) { return choose((vi)(x > high), high, x); }
#endif
INLINE vf larger(vf x, vf y) { return at_least(x, y); }
INLINE vf absolute(vf x) { return (vf)((vi)x & 0x7fffffff); }

/* Lanes n, n + 1, ..., round the end; with them a vector is folded half by half. */
#if LANES == 16
#define FROM_LANE(v, n) \
  __builtin_shufflevector(v, v, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10, n + 11, n + 12, n + 13, n + 14, n + 15)
#elif LANES == 8
#define FROM_LANE(v, n) __builtin_shufflevector(v, v, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7)
#else
#define FROM_LANE(v, n) __builtin_shufflevector(v, v, n, n + 1, n + 2, n + 3)
#endif

/* Four numbers, on every target. Wider vectors are taken apart by name: GCC turns whole ones, which costs Zen 1 eight steps each. */
typedef float v4 __attribute__((vector_size(16)));

/* Four sums, of every fourth lane. */
INLINE v4 sum_by_four(vf v) {
#if LANES > 4
#if LANES == 16
  __m256 x = _mm512_castps512_ps256((__m512)v) + _mm512_extractf32x8_ps((__m512)v, 1);
#else
  __m256 x = (__m256)v;
#endif
  return (v4)(_mm256_castps256_ps128(x) + _mm256_extractf128_ps(x, 1));
#else
  return v;
#endif
}
INLINE float sum_lanes(vf whole) {
  v4 v = sum_by_four(whole);
  v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
  v += __builtin_shufflevector(v, v, 1, 2, 3, 0);
  return v[0];
}
INLINE float max_lanes(vf v) {
#if LANES > 8
  v = larger(v, FROM_LANE(v, 8));
#endif
#if LANES > 4
  v = larger(v, FROM_LANE(v, 4));
#endif
  v = larger(v, FROM_LANE(v, 2));
  return larger(v, FROM_LANE(v, 1))[0];
}

/* Any lane of a comparison true? */
#ifdef __wasm__
INLINE i32 any(vi mask) { return __builtin_wasm_any_true_v128((signed char __attribute__((vector_size(16))))mask); }
#else
INLINE i32 any(vi mask) {
  i32 bits = 0;
  for (i32 i = 0; i < LANES; i++) bits |= mask[i];
  return bits;
}
#endif

/* A short loop that is written out: GCC at -O2 and our clang do not by themselves, and keep arrays of sums in memory. */
#define EACH(i, count) _Pragma("GCC unroll 16") for (i32 i = 0; i < count; i++)

INLINE i32 min_i(i32 a, i32 b) { return a < b ? a : b; }
INLINE i32 max_i(i32 a, i32 b) { return a > b ? a : b; }
INLINE float infinity(void) { return __builtin_inff(); }

/* Where part `chunk` of `chunks` begins when `total` things are shared out as evenly as can be; it ends where chunk + 1 begins. */
INLINE i32 part(i32 total, i32 chunk, i32 chunks) { return (i32)((i64)total * chunk / chunks); }
/* The same with borders on multiples of `unit`. */
INLINE i32 part_of(i32 total, i32 unit, i32 chunk, i32 chunks) { return min_i(total, unit * part((total + unit - 1) / unit, chunk, chunks)); }

/* Weights: panels of 16 outputs, [ceil(outputs / 16)][inputs][16], so one input's 16 weights are one 64-byte line. The same on every target. */
#define PANEL 16
#define PANEL_VECTORS (PANEL / LANES)
INLINE i32 panels_of(i32 outputs) { return (outputs + PANEL - 1) / PANEL; }

typedef void kernel(const void *words, i32 chunk, i32 chunks);
#ifdef __wasm__
#define KERNEL(name) void name(const void *words, i32 chunk, i32 chunks)
#else
#define KERNEL(name) static void name(const void *words, i32 chunk, i32 chunks) /* reached through the table of instruction-set.c */
#endif

#endif
