/*
 * Products with fp16 weights, panels [inputs][16] like linear.c's but two bytes a number. Few rows multiply them as they are
 * converted; for many a panel's block is converted once and the tiles of tile.h do the rest. Both add in the same order.
 */
#include "functions.h"
#include "narrow.h"
#include "tile.h"

/* Rows up to which converting on the way is faster than a block in between. */
#define HALF_ROWS 4

#define HALF_TILE(R)                                                                                                                                 \
  __attribute__((noinline)) static void half_tile_##R(float *sums, const float *a, const u16 *b, i32 depth) {                                        \
    vf s[R][PANEL_VECTORS] = {0};                                                                                                                    \
    _Pragma("GCC unroll 1") for (i32 k = 0; k < depth; k++, a += R, b += PANEL) {                                                                    \
      vf w[PANEL_VECTORS];                                                                                                                           \
      EACH_(v, PANEL_VECTORS) w[v] = halves(b + v * LANES);                                                                                          \
      EACH_(r, R) {                                                                                                                                  \
        vf x = splat(a[r]);                                                                                                                          \
        EACH_(v, PANEL_VECTORS) s[r][v] = madd(x, w[v], s[r][v]);                                                                                    \
      }                                                                                                                                              \
    }                                                                                                                                                \
    EACH_(r, R) EACH_(v, PANEL_VECTORS) store(sums + r * PANEL + v * LANES, s[r][v]);                                                                \
  }
HALF_TILE(1) HALF_TILE(2) HALF_TILE(3) HALF_TILE(4)

/* out (rows, outputs) = activation(A W^T + bias) + residual, as `gemm`. */
KERNEL(gemm_half) {
  (void)chunks;
  const gemm_args *a = words;
  i32 tiles = tiles_of(a->rows), panels = panels_of(a->outputs);
  i32 tile_part = chunk / a->panel_parts, panel_part = chunk % a->panel_parts;
  i32 first_tile = part(tiles, tile_part, a->tile_parts), last_tile = part(tiles, tile_part + 1, a->tile_parts);
  i32 first_panel = part(panels, panel_part, a->panel_parts), last_panel = part(panels, panel_part + 1, a->panel_parts);
  float sums[ROW_BLOCK * PANEL] __attribute__((aligned(64)));
  const u16 *matrix = HEAP(a->panels);

  if (tiles == 1 && a->rows <= HALF_ROWS) {
    for (i32 p = first_panel; p < last_panel; p++) {
      const u16 *panel = matrix + (size)p * a->inputs * PANEL;
      switch (a->rows) {
        case 1: half_tile_1(sums, F32(a->a), panel, a->inputs); break;
        case 2: half_tile_2(sums, F32(a->a), panel, a->inputs); break;
        case 3: half_tile_3(sums, F32(a->a), panel, a->inputs); break;
        case 4: half_tile_4(sums, F32(a->a), panel, a->inputs); break;
      }
      finish(a, sums, 0, a->rows, p);
    }
    return;
  }

  float converted[DEPTH_BLOCK * PANEL] __attribute__((aligned(64)));
  for (i32 block = first_tile; block < last_tile;) {
    i32 block_row = tile_start(a->rows, block), block_end = block + 1;
    while (block_end < last_tile && tile_start(a->rows, block_end + 1) - block_row <= ROW_BLOCK) block_end++;
    i32 block_rows = tile_start(a->rows, block_end) - block_row;
    for (i32 p = first_panel; p < last_panel; p++) {
      const u16 *panel = matrix + (size)p * a->inputs * PANEL;
      for (i32 k = 0; k < a->inputs; k += DEPTH_BLOCK) {
        i32 depth = min_i(DEPTH_BLOCK, a->inputs - k);
        for (i32 i = 0; i < depth * PANEL; i += LANES) store(converted + i, halves(panel + (size)k * PANEL + i));
        for (i32 t = block, row = block_row; t < block_end; t++) {
          i32 next = tile_start(a->rows, t + 1), rows = next - row;
          tile(rows, sums + (row - block_row) * PANEL, F32(a->a) + (size)row * a->inputs + (size)k * rows, converted, depth, k == 0);
          row = next;
        }
      }
      finish(a, sums, block_row, block_rows, p);
    }
    block = block_end;
  }
}
