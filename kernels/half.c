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
      EACH(p, P) FETCH_AHEAD(R, b + p * apart, 2048);                                                                                                \
      EACH(p, P) EACH(v, PANEL_VECTORS) w[p][v] = halves(b + p * apart + v * LANES);                                                                 \
      EACH(r, R) {                                                                                                                                   \
        vf x = splat(a[r]);                                                                                                                          \
        EACH(p, P) EACH(v, PANEL_VECTORS) s[p][r][v] = madd(x, w[p][v], s[p][r][v]);                                                                 \
      }                                                                                                                                              \
    }                                                                                                                                                \
    EACH(p, P) EACH(r, R) EACH(v, PANEL_VECTORS) store(sums + (p * R + r) * PANEL + v * LANES, s[p][r][v]);                                          \
  }
HALF_TILE(1, 1) HALF_TILE(2, 1) HALF_TILE(3, 1) HALF_TILE(4, 1)
#if LANES == 16
HALF_TILE(1, 4) HALF_TILE(2, 4) HALF_TILE(3, 4) HALF_TILE(4, 4)
#elif LANES == 8
HALF_TILE(1, 4) HALF_TILE(2, 2)
#endif

/* How many go at once: with four lanes converting already fills the registers. */
INLINE i32 half_panels(i32 rows) { return LANES > 4 ? panels_at_once(rows) : 1; }

/* `panels` is 1 or half_panels. */
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

/* From several places, as multiply_tile of linear.c. */
static void multiply_few(const gemm_args *a, i32 chunk) {
  i32 panels = panels_of(a->outputs), part_of_panels = chunk % a->panel_parts;
  i32 begin = part(panels, part_of_panels, a->panel_parts), end = part(panels, part_of_panels + 1, a->panel_parts);
  float sums[HALF_ROWS * PANEL * MOST_PANELS] __attribute__((aligned(64)));
  i32 rows = a->rows, places = half_panels(rows), run = (end - begin) / places;
  size panel = (size)a->inputs * PANEL;
  const u16 *halves_of_w = (const u16 *)HEAP(a->panels);
  for (i32 p = begin; p < begin + run; p++) {
    half_tile(places, rows, sums, F32(a->a), halves_of_w + p * panel, run * panel, a->inputs);
    for (i32 i = 0; i < places; i++) finish(a, sums + i * rows * PANEL, 0, rows, p + i * run);
  }
  for (i32 p = begin + places * run; p < end; p++) {
    half_tile(1, rows, sums, F32(a->a), halves_of_w + p * panel, 0, a->inputs);
    finish(a, sums, 0, rows, p);
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
