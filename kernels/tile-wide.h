/*
 * Tiles over several panels at once. Many rows on AVX-512: one panel is one vector, so each number of A broadcast would serve
 * a single multiply-add, and loads, not sums, would set the pace; two panels share it. Few rows (decoding): the sums of one panel
 * are a few short chains, each link waiting for the last; several panels are more of them.
 *
 * Every sum is still one chain over k in ascending order, so the bits are tile.h's.
 */
#ifndef TILE_WIDE_H
#define TILE_WIDE_H
#include "tile.h"

/* How many panels gemm hands over at once for a block of so many rows. */
INLINE i32 panels_at_once(i32 rows) {
#if LANES == 16
  return rows <= 6 ? 4 : 2;
#elif LANES == 8
  return rows == 1 ? 4 : rows == 2 ? 2 : 1;
#else
  return rows == 1 ? 2 : 1; /* a panel is four vectors: four chains, 65 GB/s from wasm's second cache; eight are 100, twelve spill */
#endif
}
#define MOST_PANELS 4

/* As TILE of tile.h; P panels `apart` apart, their sums `sums_apart` apart. */
#define TILE_WIDE(R, P)                                                                                                                              \
  __attribute__((noinline)) static void tile_wide_##R##_##P(float *sums, size sums_apart, const float *a, const float *b, size apart, i32 depth,     \
                                                            i32 fresh) {                                                                             \
    vf s[P][R][PANEL_VECTORS];                                                                                                                       \
    EACH(p, P) EACH(r, R) EACH(v, PANEL_VECTORS) s[p][r][v] = fresh ? (vf){} : load(sums + p * sums_apart + r * PANEL + v * LANES);                  \
    _Pragma("GCC unroll 1") for (i32 k = 0; k < depth; k++) {                                                                                        \
      vf w[P][PANEL_VECTORS];                                                                                                                        \
      EACH(p, P) EACH(v, PANEL_VECTORS) w[p][v] = load(b + p * apart + v * LANES);                                                                   \
      EACH(r, R) {                                                                                                                                   \
        vf x = splat(a[r]);                                                                                                                          \
        EACH(p, P) EACH(v, PANEL_VECTORS) s[p][r][v] = madd(x, w[p][v], s[p][r][v]);                                                                 \
      }                                                                                                                                              \
      a += R;                                                                                                                                        \
      b += PANEL;                                                                                                                                    \
    }                                                                                                                                                \
    EACH(p, P) EACH(r, R) EACH(v, PANEL_VECTORS) store(sums + p * sums_apart + r * PANEL + v * LANES, s[p][r][v]);                                   \
  }

#if LANES == 16
TILE_WIDE(1, 4) TILE_WIDE(2, 4) TILE_WIDE(3, 4) TILE_WIDE(4, 4) TILE_WIDE(5, 4) TILE_WIDE(6, 4)
TILE_WIDE(6, 2) TILE_WIDE(7, 2) TILE_WIDE(8, 2) TILE_WIDE(9, 2) TILE_WIDE(10, 2) TILE_WIDE(11, 2) TILE_WIDE(12, 2)
#elif LANES == 8
TILE_WIDE(1, 4) TILE_WIDE(2, 2)
#else
TILE_WIDE(1, 2)
#endif

/* One tile of `rows` x `panels` panels of sums: `panels` is 1 or panels_at_once. */
INLINE void tile_wide(i32 panels, i32 rows, float *sums, size sums_apart, const float *a, const float *b, size apart, i32 depth, i32 fresh) {
#define CASE_WIDE(R, P)                                            \
  case R * 8 + P:                                                  \
    tile_wide_##R##_##P(sums, sums_apart, a, b, apart, depth, fresh); \
    return;
  switch (rows * 8 + panels) {
#if LANES == 16
    CASE_WIDE(1, 4) CASE_WIDE(2, 4) CASE_WIDE(3, 4) CASE_WIDE(4, 4) CASE_WIDE(5, 4) CASE_WIDE(6, 4)
    CASE_WIDE(6, 2) CASE_WIDE(7, 2) CASE_WIDE(8, 2) CASE_WIDE(9, 2) CASE_WIDE(10, 2) CASE_WIDE(11, 2) CASE_WIDE(12, 2)
#elif LANES == 8
    CASE_WIDE(1, 4) CASE_WIDE(2, 2)
#else
    CASE_WIDE(1, 2)
#endif
  }
  for (i32 p = 0; p < panels; p++) tile(rows, sums + p * sums_apart, a, b + p * apart, depth, fresh);
}

#endif
