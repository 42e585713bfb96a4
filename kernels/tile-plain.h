/*
 * Tiles over matrices that lie in memory row by row, nothing packed: what attention multiplies is small, used a few times and
 * stays in the first caches, so packing it would cost more than it saves. tile.h is for weights.
 *
 * Every sum is one chain over the depth in ascending order, wherever rows, columns and depth are cut.
 */
#ifndef TILE_PLAIN_H
#define TILE_PLAIN_H
#include "vitrine.h"

/* Rows and vectors of sums in registers. Four vectors share each broadcast where there are 32 registers; on wasm see tile.h. */
#ifndef PLAIN_ROWS
#if defined(__AVX512F__)
#define PLAIN_ROWS 6
#define PLAIN_VECTORS 4
#elif defined(__AVX2__)
#define PLAIN_ROWS 6
#define PLAIN_VECTORS 2
#elif defined(__ARM_NEON)
#define PLAIN_ROWS 5
#define PLAIN_VECTORS 4
#else
#define PLAIN_ROWS 4
#define PLAIN_VECTORS 2
#endif
#endif

/* c (rows, columns) = [c +] a (rows, depth) b (depth, columns). Number (r, k) of `a` is a[r * a_row + k * a_depth], so it may lie turned. */
typedef struct {
  float *c;
  size c_row;
  const float *a;
  size a_row, a_depth;
  const float *b;
  size b_row;
  i32 depth, fresh; /* fresh: c starts at 0 */
} plain;

#define PLAIN_TILE(R, V)                                                                       \
  __attribute__((noinline)) static void plain_##R##_##V(const plain *p, i32 row, i32 column) { \
    float *c = p->c + row * p->c_row + column;                                                 \
    const float *a = p->a + row * p->a_row, *b = p->b + column;                                \
    size c_row = p->c_row, a_row = p->a_row, a_depth = p->a_depth, b_row = p->b_row;           \
    vf s[R][V];                                                                                \
    EACH(r, R) EACH(v, V) s[r][v] = p->fresh ? (vf){} : load(c + r * c_row + v * LANES);       \
    _Pragma("GCC unroll 1") for (i32 k = p->depth; k > 0; k--) {                               \
      vf w[V];                                                                                 \
      EACH(v, V) w[v] = load(b + v * LANES);                                                   \
      EACH(r, R) {                                                                             \
        vf x = splat(a[r * a_row]);                                                            \
        EACH(v, V) s[r][v] = madd(x, w[v], s[r][v]);                                           \
      }                                                                                        \
      a += a_depth;                                                                            \
      b += b_row;                                                                              \
    }                                                                                          \
    EACH(r, R) EACH(v, V) store(c + r * c_row + v * LANES, s[r][v]);                           \
  }

#if PLAIN_VECTORS == 4
#define PLAIN_EACH(R, DO) DO(R, 1) DO(R, 2) DO(R, 3) DO(R, 4)
#else
#define PLAIN_EACH(R, DO) DO(R, 1) DO(R, 2)
#endif
#if PLAIN_ROWS == 6
#define PLAIN_ALL(DO) PLAIN_EACH(1, DO) PLAIN_EACH(2, DO) PLAIN_EACH(3, DO) PLAIN_EACH(4, DO) PLAIN_EACH(5, DO) PLAIN_EACH(6, DO)
#elif PLAIN_ROWS == 5
#define PLAIN_ALL(DO) PLAIN_EACH(1, DO) PLAIN_EACH(2, DO) PLAIN_EACH(3, DO) PLAIN_EACH(4, DO) PLAIN_EACH(5, DO)
#else
#define PLAIN_ALL(DO) PLAIN_EACH(1, DO) PLAIN_EACH(2, DO) PLAIN_EACH(3, DO) PLAIN_EACH(4, DO)
#endif
PLAIN_ALL(PLAIN_TILE)

/* The whole product. `columns` is a multiple of LANES, and c and b have room for them. */
static void multiply_plain(const plain *p, i32 rows, i32 columns) {
  if (rows <= 0) return;
  i32 tiles = (rows + PLAIN_ROWS - 1) / PLAIN_ROWS, least = rows / tiles, more = rows % tiles;
  for (i32 column = 0; column < columns; column += PLAIN_VECTORS * LANES) {
    i32 vectors = min_i(PLAIN_VECTORS, (columns - column) / LANES);
    for (i32 t = 0, row = 0; t < tiles; t++) {
      i32 count = least + (t < more);
#define PLAIN_CASE(R, V) \
  case R * 8 + V: plain_##R##_##V(p, row, column); break;
      switch (count * 8 + vectors) { PLAIN_ALL(PLAIN_CASE) }
      row += count;
    }
  }
}

#endif
