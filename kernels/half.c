/*
 * Products with fp16 weights, panels [inputs][16] like linear.c's but two bytes a number. Few rows multiply them as they are
 * converted; for many, linear.c converts a panel's block once and goes on as with fp32. Both add in the same order.
 */
#include "functions.h"
#include "narrow.h"
#include "tile-wide.h"

/* Rows up to which converting on the way is faster than a block in between. */
#define HALF_ROWS 4

/* sums of R rows and P panels, `apart` numbers apart, one after the other; several panels for the same reason as in tile-wide.h. */
#define HALF_TILE(R, P)                                                                                                                              \
  __attribute__((noinline)) static void half_tile_##R##_##P(float *sums, const float *a, const u16 *b, size apart, i32 depth) {                      \
    vf s[P][R][PANEL_VECTORS] = {0};                                                                                                                 \
    _Pragma("GCC unroll 1") for (i32 k = 0; k < depth; k++, a += R, b += PANEL) {                                                                    \
      vf w[P][PANEL_VECTORS];                                                                                                                        \
      EACH_(p, P) FETCH_AHEAD(R, b + p * apart, 2048);                                                                                               \
      EACH_(p, P) EACH_(v, PANEL_VECTORS) w[p][v] = halves(b + p * apart + v * LANES);                                                               \
      EACH_(r, R) {                                                                                                                                  \
        vf x = splat(a[r]);                                                                                                                          \
        EACH_(p, P) EACH_(v, PANEL_VECTORS) s[p][r][v] = madd(x, w[p][v], s[p][r][v]);                                                               \
      }                                                                                                                                              \
    }                                                                                                                                                \
    EACH_(p, P) EACH_(r, R) EACH_(v, PANEL_VECTORS) store(sums + (p * R + r) * PANEL + v * LANES, s[p][r][v]);                                       \
  }
HALF_TILE(1, 1) HALF_TILE(2, 1) HALF_TILE(3, 1) HALF_TILE(4, 1)
#if LANES == 16
HALF_TILE(1, 4) HALF_TILE(2, 4) HALF_TILE(3, 4) HALF_TILE(4, 4)
#elif LANES == 8
HALF_TILE(1, 4) HALF_TILE(2, 2)
#endif

/* `panels` is 1 or panels_at_once. */
INLINE void half_tile(i32 panels, i32 rows, float *sums, const float *a, const u16 *b, size apart, i32 depth) {
#define HALF_CASE(R, P) \
  case R * 8 + P: half_tile_##R##_##P(sums, a, b, apart, depth); break;
  switch (rows * 8 + panels) {
    HALF_CASE(1, 1) HALF_CASE(2, 1) HALF_CASE(3, 1) HALF_CASE(4, 1)
#if LANES == 16
    HALF_CASE(1, 4) HALF_CASE(2, 4) HALF_CASE(3, 4) HALF_CASE(4, 4)
#elif LANES == 8
    HALF_CASE(1, 4) HALF_CASE(2, 2)
#endif
  }
}

static void multiply_few(const gemm_args *a, i32 chunk) {
  i32 panels = panels_of(a->outputs), last = part(panels, chunk % a->panel_parts + 1, a->panel_parts);
  float sums[HALF_ROWS * PANEL * MOST_PANELS] __attribute__((aligned(64)));
  size apart = (size)a->inputs * PANEL;
  for (i32 p = part(panels, chunk % a->panel_parts, a->panel_parts), count; p < last; p += count) {
    count = last - p >= panels_at_once(a->rows) ? panels_at_once(a->rows) : 1;
    half_tile(count, a->rows, sums, F32(a->a), (const u16 *)HEAP(a->panels) + p * apart, apart, a->inputs);
    for (i32 i = 0; i < count; i++) finish(a, sums + i * a->rows * PANEL, 0, a->rows, p + i);
  }
}

/* As `gemm`. */
KERNEL(gemm_half) {
  (void)chunks;
  const gemm_args *a = words;
  if (a->rows <= HALF_ROWS) { /* one tile, TILE_ROWS being no less */
    multiply_few(a, chunk);
    return;
  }
  float converted[MOST_PANELS * DEPTH_BLOCK * PANEL] __attribute__((aligned(64)));
  multiply(a, chunk, converted);
}
