/*
 * Small numbers: fp16 to fp32 and back, and dot products of bytes, a vector at a time. What differs between targets is here;
 * half.c and quantised.c are the same everywhere.
 */
#ifndef NARROW_H
#define NARROW_H
#include "vitrine.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef u16 vh __attribute__((vector_size(2 * LANES)));
typedef short vs __attribute__((vector_size(2 * LANES)));
typedef short vsu __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef i32 viu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* One row or two go through small weights faster than a processor fetches ahead by itself. 8 KB ahead, 20 GB/s become 31 (docs/log.md). */
#define FETCH_AHEAD(rows, p, bytes) \
  if (rows <= 2) __builtin_prefetch((const char *)(p) + (bytes))

/*
 * WebAssembly has no prefetch. There, few rows read one number of each line beforehand, a run of TOUCHED bytes at a time: that has
 * dozens of lines on their way at once, where products, many instructions for each line, have a few. Such a run stays in the second
 * cache. int8 1.4 to 1.5 x as fast from memory, int4 1.4 to 1.8 x (docs/log.md).
 *
 * Gives how far it has come; `wanted` is how far the caller is about to go, `end` is where all ends.
 */
#ifdef __wasm__
#define TOUCHED 65536
INLINE const u8 *touch_ahead(const u8 *from, const u8 *wanted, const u8 *end) {
  if (wanted <= from) return from;
  const u8 *to = (size)(end - from) < TOUCHED ? end : from + TOUCHED;
  if (to < wanted) to = wanted;
  _Pragma("GCC unroll 1") for (; from + 256 <= to; from += 256) {
    (void)*(const volatile u8 *)from;
    (void)*(const volatile u8 *)(from + 64);
    (void)*(const volatile u8 *)(from + 128);
    (void)*(const volatile u8 *)(from + 192);
  }
  return to;
}
#else
INLINE const u8 *touch_ahead(const u8 *from, const u8 *wanted, const u8 *end) { return (void)wanted, (void)end, from; }
#endif

INLINE vi load_i(const void *p) { return *(const viu *)p; }
INLINE vi splat_i(i32 x) { return x + (vi){}; }
INLINE vi shift_right(vi x, i32 bits) { return (vi)((vu)x >> bits); }

/* The larger of each pair; the largest lane; the sum of all. */
#if defined(__AVX512F__)
INLINE vi larger_i(vi x, vi y) { return (vi)_mm512_max_epi32((__m512i)x, (__m512i)y); }
INLINE i32 max_lanes_i(vi v) { return _mm512_reduce_max_epi32((__m512i)v); }
INLINE i32 sum_lanes_i(vi v) { return _mm512_reduce_add_epi32((__m512i)v); }
#else
#if defined(__wasm__)
INLINE vi larger_i(vi x, vi y) { return __builtin_elementwise_max(x, y); }
#elif defined(__AVX2__)
INLINE vi larger_i(vi x, vi y) { return (vi)_mm256_max_epi32((__m256i)x, (__m256i)y); }
#else
INLINE vi larger_i(vi x, vi y) { return (vi)choose((vi)(x > y), (vf)x, (vf)y); }
#endif
INLINE i32 max_lanes_i(vi v) {
  i32 most = v[0];
  for (i32 i = 1; i < LANES; i++) most = max_i(most, v[i]);
  return most;
}
INLINE i32 sum_lanes_i(vi v) {
  i32 sum = v[0];
  for (i32 i = 1; i < LANES; i++) sum += v[i];
  return sum;
}
#endif

/* LANES fp16 numbers -> fp32, exactly. Infinities are kept out when matrices are written. */
#if defined(__AVX512F__)
INLINE vf halves(const u16 *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#elif defined(__F16C__) && LANES == 8
INLINE vf halves(const u16 *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#elif defined(__ARM_NEON)
INLINE vf halves(const u16 *p) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
/* Sign, exponent and fraction moved to their places; the product moves the exponent's zero and mends subnormals. */
INLINE vf halves(const u16 *p) {
  vi x = __builtin_convertvector((vs) * (const vsu *)p, vi);
  return (vf)(x << 13 & (i32)0x8fffffff) * splat(0x1p112f);
}
#endif
INLINE float half_1(u16 x) {
  union { i32 i; float f; } bits = {(i32)((u32)(i32)(short)x << 13) & (i32)0x8fffffff};
  return bits.f * 0x1p112f;
}

/* fp32 -> fp16 bits, to nearest, ties to even, for magnitudes below 65520. */
INLINE vi half_bits(vf x) {
  vi magnitude = (vi)x & 0x7fffffff, sign = shift_right((vi)x, 16) & 0x8000;
  vi small = (vi)((vf)magnitude + splat(0.5f)) - (vi)splat(0.5f); /* the last bit of 0.5 is 2^-24, a subnormal's step */
  vi odd = shift_right(magnitude, 13) & 1;
  vi normal = shift_right(magnitude + odd + (0xfff - (112 << 23)), 13);
  vi is_small = (vi)(magnitude < (0x38800000 + (vi){}));
  return sign | (is_small & small) | (~is_small & normal);
}

/*
 * Dot products of 4 unsigned weights in every 32-bit lane with 4 signed numbers that all lanes share.
 *
 * int8 weights times 16-bit numbers: weights are spread to 16 bits, even ones and odd ones apart, so 4 numbers are two words,
 * (0, 2) and (1, 3). 32 products of 255 and 32767 fit 32 bits. For large matrices 8-bit numbers where VNNI multiplies them:
 * 4 numbers are one word ("bytes").
 *
 * int4 weights times 8-bit numbers: 4 numbers are one word, where there is an instruction for that (VNNI), or for pairs of bytes
 * (x86, relaxed SIMD): nibbles are small enough to sum in 16 bits for a whole block. Elsewhere as int8.
 */
typedef signed char vb __attribute__((vector_size(LANES)));
typedef signed char vbu __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef short vw __attribute__((vector_size(4 * LANES)));
typedef u16 vuw __attribute__((vector_size(4 * LANES)));

/* sum + products of pairs of 16-bit numbers. */
#if defined(__wasm__)
INLINE vi add_pairs(vi sum, vi w, vi x) { return sum + (vi)__builtin_wasm_dot_s_i32x4_i16x8((vw)w, (vw)x); }
#elif defined(__AVX512VNNI__) && LANES == 16
INLINE vi add_pairs(vi sum, vi w, vi x) { return (vi)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, (__m512i)x); }
#elif defined(__AVX512BW__) && LANES == 16
INLINE vi add_pairs(vi sum, vi w, vi x) { return sum + (vi)_mm512_madd_epi16((__m512i)w, (__m512i)x); }
#elif defined(__AVXVNNI__) && LANES == 8
INLINE vi add_pairs(vi sum, vi w, vi x) { return (vi)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x); }
#elif defined(__AVX2__) && LANES == 8
INLINE vi add_pairs(vi sum, vi w, vi x) { return sum + (vi)_mm256_madd_epi16((__m256i)w, (__m256i)x); }
#elif defined(__SSE2__) && LANES == 4
INLINE vi add_pairs(vi sum, vi w, vi x) { return sum + (vi)_mm_madd_epi16((__m128i)w, (__m128i)x); }
#elif defined(__ARM_NEON)
INLINE vi add_pairs(vi sum, vi w, vi x) {
  int16x8_t a = (int16x8_t)w, b = (int16x8_t)x;
  return sum + (vi)vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
}
#else
INLINE vi add_pairs(vi sum, vi w, vi x) { return sum + (w << 16 >> 16) * (x << 16 >> 16) + (w >> 16) * (x >> 16); }
#endif

/* Whether the target adds such products in one instruction, so that unrolled loops stay in order. */
#if (defined(__AVX512VNNI__) && LANES == 16) || (defined(__AVXVNNI__) && LANES == 8)
#define VNNI
#endif

#ifdef VNNI
#if LANES == 16
INLINE vi add_bytes(vi sum, vi w, vi x) { return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x); }
#else
INLINE vi add_bytes(vi sum, vi w, vi x) { return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x); }
#endif
/* From so many inputs on rows are rounded to 8 bits, as in llama.cpp; narrow models would lose too much (docs/log.md). */
#define BYTES_FROM 512
#endif

/* int4: sums of 4 products of bytes in 32 bits, or of 2 in 16. */
#ifdef VNNI
INLINE vi add_nibbles(vi sum, vi w, vi x) { return add_bytes(sum, w, x); }
#elif defined(__ARM_FEATURE_DOTPROD)
INLINE vi add_nibbles(vi sum, vi w, vi x) { return (vi)vdotq_s32((int32x4_t)sum, (int8x16_t)w, (int8x16_t)x); }
#elif defined(__wasm_relaxed_simd__)
#define SUMS_IN_16_BITS
INLINE vi add_nibbles(vi sum, vi w, vi x) {
  typedef signed char bytes __attribute__((vector_size(16)));
  return (vi)((vw)sum + (vw)__builtin_wasm_relaxed_dot_i8x16_i7x16_s_i16x8((bytes)x, (bytes)w));
}
#elif defined(__AVX512BW__) && LANES == 16
#define SUMS_IN_16_BITS
INLINE vi add_nibbles(vi sum, vi w, vi x) { return (vi)((vw)sum + (vw)_mm512_maddubs_epi16((__m512i)w, (__m512i)x)); }
#elif defined(__AVX2__) && LANES == 8
#define SUMS_IN_16_BITS
INLINE vi add_nibbles(vi sum, vi w, vi x) { return (vi)((vw)sum + (vw)_mm256_maddubs_epi16((__m256i)w, (__m256i)x)); }
#elif defined(__SSSE3__) && LANES == 4
#define SUMS_IN_16_BITS
INLINE vi add_nibbles(vi sum, vi w, vi x) { return (vi)((vw)sum + (vw)_mm_maddubs_epi16((__m128i)w, (__m128i)x)); }
#else
#define NIBBLES_SPREAD
INLINE vi add_nibbles(vi sum, vi w, vi x) { return add_pairs(sum, w, x); }
#endif

/* Stored groups of a block; words that 4 shared numbers take; the largest magnitude they are rounded to; what stored weights are too large by. */
#define INT8_GROUPS 8
#define BYTES_GROUPS 8
#define INT4_GROUPS 4
#define INT8_WORDS 2
#define INT8_MOST 32767
#define INT8_ZERO 128
#ifdef NIBBLES_SPREAD
#define INT4_WORDS 2
#else
#define INT4_WORDS 1
#endif
#define INT4_MOST 127
#define INT4_ZERO 8
/* int8 weights, rows of bytes. */
#define BYTES_WORDS 1
#define BYTES_MOST 127
#define BYTES_ZERO 128

/* A vector of stored weights, made ready for products with word `word` of the numbers; `high`: upper nibbles. */
INLINE vi part8(vi w, i32 word) { return word ? (vi)((vuw)w >> 8) : w & 0x00ff00ff; }
INLINE vi part4(vi w, i32 high, i32 word) {
  i32 bits = 4 * high + 8 * word;
  return (bits ? shift_right(w, bits) : w) & (INT4_WORDS == 1 ? 0x0f0f0f0f : 0x000f000f);
}

/* A block's sums begin at START, take products, and are whole at END. */
#define START_INT8(init) splat_i(init)
#define START_BYTES(init) splat_i(init)
#define END_INT8(sum, init) (sum)
#define END_BYTES(sum, init) (sum)
#ifdef SUMS_IN_16_BITS
#define START_INT4(init) ((vi){})
#define END_INT4(sum, init) add_pairs(splat_i(init), sum, splat_i(0x00010001))
#else
#define START_INT4(init) splat_i(init)
#define END_INT4(sum, init) (sum)
#endif

#endif
