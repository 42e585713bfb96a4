/* Turning 4 x 4 blocks of floats, the step all packing is made of. Four-wide on every target. */
#ifndef SHUFFLE_H
#define SHUFFLE_H
#include "vitrine.h"

typedef float v4u __attribute__((vector_size(16), aligned(4), may_alias));

INLINE v4 load4(const float *p) { return *(const v4u *)p; }
INLINE void store4(float *p, v4 v) { *(v4u *)p = v; }

/* x * y + z, as madd of vitrine.h. */
#if defined(__FMA__)
INLINE v4 madd4(v4 x, v4 y, v4 z) { return (v4)_mm_fmadd_ps((__m128)x, (__m128)y, (__m128)z); }
#else
INLINE v4 madd4(v4 x, v4 y, v4 z) { return madd(x, y, z); }
#endif

/* Rows become columns. */
INLINE void transpose4(v4 *a, v4 *b, v4 *c, v4 *d) {
  v4 ab_low = __builtin_shufflevector(*a, *b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(*a, *b, 2, 6, 3, 7);
  v4 cd_low = __builtin_shufflevector(*c, *d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(*c, *d, 2, 6, 3, 7);
  *a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  *b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  *c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  *d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* to[k * to_stride + r] = from[r * from_stride + k] for r < rows, k < depth; rows <= PANEL. */
INLINE void turn(float *to, i32 to_stride, const float *from, i32 from_stride, i32 rows, i32 depth) {
  i32 r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float *f = from + (size)r * from_stride;
    float *t = to + r;
    i32 k = 0;
    for (; k + 4 <= depth; k += 4, f += 4, t += 4 * to_stride) {
      v4 a = load4(f), b = load4(f + from_stride), c = load4(f + 2 * (size)from_stride), d = load4(f + 3 * (size)from_stride);
      transpose4(&a, &b, &c, &d);
      store4(t, a);
      store4(t + to_stride, b);
      store4(t + 2 * to_stride, c);
      store4(t + 3 * to_stride, d);
    }
    for (; k < depth; k++, f++, t += to_stride)
      for (i32 i = 0; i < 4; i++) t[i] = f[i * (size)from_stride];
  }
  for (; r < rows; r++)
    for (i32 k = 0; k < depth; k++) to[k * to_stride + r] = from[(size)r * from_stride + k];
}

#endif
