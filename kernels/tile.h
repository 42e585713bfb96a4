/*
 * The innermost loop of everything that multiplies matrices: a tile of a few rows x one panel (or part of one) of sums kept
 * in registers, one outer product per k. Packing its inputs is linear.c's and attention.c's business.
 *
 * Every sum is one chain over k in ascending order, wherever the blocks are cut, so one row alone (decoding) and the same
 * row among many (reading a prompt) give the same bits.
 */
#ifndef TILE_H
#define TILE_H
#include "vitrine.h"

/*
 * V8 loads all of a step's numbers before its first multiplication, so on wasm sums + weights + broadcasts must fit 15
 * registers: 4 x 8 runs at 63 of 68 GFLOP/s, while 6 x 8 spills and halves (docs/log.md). Native compilers interleave:
 * 6 x 16 on AVX2, 5 x 16 on NEON (GCC spills at 6), 12 x 16 on AVX-512, there over two panels at once where it matters
 * (tile-wide.h).
 */
#ifndef TILE_ROWS
#if defined(__AVX512F__)
#define TILE_ROWS 12
#elif defined(__AVX2__)
#define TILE_ROWS 6
#elif defined(__ARM_NEON)
#define TILE_ROWS 5
#else
#define TILE_ROWS 4
#endif
#endif

/* sums (R, V vectors; rows PANEL apart) = [sums +] a^T b; a is [depth][R], b is [depth][PANEL], of which V vectors are read. */
#define TILE(R, V)                                                                                                                                   \
  __attribute__((noinline)) static void tile_##R##_##V(float *sums, const float *a, const float *b, i32 depth, i32 fresh) {                          \
    vf s[R][V];                                                                                                                                      \
    EACH(r, R) EACH(v, V) s[r][v] = fresh ? (vf){} : load(sums + r * PANEL + v * LANES);                                                             \
    _Pragma("GCC unroll 1") for (i32 k = 0; k < depth; k++) {                                                                                        \
      vf w[V];                                                                                                                                       \
      EACH(v, V) w[v] = load(b + v * LANES);                                                                                                         \
      EACH(r, R) {                                                                                                                                   \
        vf x = splat(a[r]);                                                                                                                          \
        EACH(v, V) s[r][v] = madd(x, w[v], s[r][v]);                                                                                                 \
      }                                                                                                                                              \
      a += R;                                                                                                                                        \
      b += PANEL;                                                                                                                                    \
    }                                                                                                                                                \
    EACH(r, R) EACH(v, V) store(sums + r * PANEL + v * LANES, s[r][v]);                                                                              \
  }

#if defined(__ARM_NEON) /* 32 registers: whole panels */
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4)
#define TILE_CALL(R) tile_##R##_4(sums, a, b, depth, fresh)
#define TILE_1 TILE_CALL(1)
#define TILE_2 TILE_CALL(2)
#define TILE_3 TILE_CALL(3)
#define TILE_4 TILE_CALL(4)
#define TILE_5 TILE_CALL(5)
#elif LANES == 4
TILE(1, 4) TILE(2, 4) TILE(3, 2) TILE(4, 2)
#define TILE_1 tile_1_4(sums, a, b, depth, fresh)
#define TILE_2 tile_2_4(sums, a, b, depth, fresh)
#define TILE_3 (tile_3_2(sums, a, b, depth, fresh), tile_3_2(sums + 8, a, b + 8, depth, fresh))
#define TILE_4 (tile_4_2(sums, a, b, depth, fresh), tile_4_2(sums + 8, a, b + 8, depth, fresh))
#if TILE_ROWS > 4
TILE(5, 2) TILE(6, 2)
#define TILE_5 (tile_5_2(sums, a, b, depth, fresh), tile_5_2(sums + 8, a, b + 8, depth, fresh))
#define TILE_6 (tile_6_2(sums, a, b, depth, fresh), tile_6_2(sums + 8, a, b + 8, depth, fresh))
#endif
#else
#if LANES == 8
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
#define TILE_CALL(R) tile_##R##_2(sums, a, b, depth, fresh)
#else
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1)
#define TILE_CALL(R) tile_##R##_1(sums, a, b, depth, fresh)
#endif
#define TILE_1 TILE_CALL(1)
#define TILE_2 TILE_CALL(2)
#define TILE_3 TILE_CALL(3)
#define TILE_4 TILE_CALL(4)
#define TILE_5 TILE_CALL(5)
#define TILE_6 TILE_CALL(6)
#endif

/* One tile of `rows` x PANEL sums; `fresh` starts them at 0. */
INLINE void tile(i32 rows, float *sums, const float *a, const float *b, i32 depth, i32 fresh) {
  switch (rows) {
    case 1: TILE_1; break;
    case 2: TILE_2; break;
    case 3: TILE_3; break;
    case 4: TILE_4; break;
#if TILE_ROWS > 4
    case 5: TILE_5; break;
#endif
#if TILE_ROWS > 5
    case 6: TILE_6; break;
#endif
#if TILE_ROWS > 6
    case 7: TILE_CALL(7); break;
    case 8: TILE_CALL(8); break;
    case 9: TILE_CALL(9); break;
    case 10: TILE_CALL(10); break;
    case 11: TILE_CALL(11); break;
    case 12: TILE_CALL(12); break;
#endif
  }
}

/*
 * Rows are cut into tiles as evenly as can be (5 rows are 3 + 2, not 4 + 1). Tile t holds rows tile_start(t) up to
 * tile_start(t + 1); packed, it is [depth][rows of the tile] from float tile_start(t) * depth.
 */
INLINE i32 tiles_of(i32 rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }
INLINE i32 tile_start(i32 rows, i32 t) {
  i32 tiles = tiles_of(rows), least = rows / tiles, more = rows % tiles;
  return t * least + min_i(t, more);
}

#endif
