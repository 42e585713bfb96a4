/*
 * Matrix products: packing both sides, the blocked product with its epilogue, and reading weights back.
 * `gemm` is linear, matmul and one-row decoding alike; only the packing differs. The inner loop is tile.h.
 */
#include "functions.h"
#include "narrow.h"
#include "shuffle.h"
#include "tile-wide.h"

/* No size near it is much better or worse (docs/log.md): a depth of 256 keeps a panel's block (16 KB) in the first cache. */
#ifndef DEPTH_BLOCK
#define DEPTH_BLOCK 256
#endif
#ifndef ROW_BLOCK
#define ROW_BLOCK 96
#endif

/* `stride` is the length of a row of what x lies in. */
typedef struct {
  u32 out, x;
  i32 rows, depth, stride;
} pack_args;

/* x (rows, depth) -> tiles [depth][rows of the tile]. Parts are tiles. */
KERNEL(pack_rows) {
  const pack_args *a = words;
  i32 tiles = tiles_of(a->rows), end = part(tiles, chunk + 1, chunks);
  for (i32 t = part(tiles, chunk, chunks); t < end; t++) {
    i32 row = tile_start(a->rows, t), rows = tile_start(a->rows, t + 1) - row;
    turn(F32(a->out) + (size)row * a->depth, rows, F32(a->x) + (size)row * a->stride, a->stride, rows, a->depth);
  }
}

/* The same from x (depth, rows). 16 of its rows at a time, so that few pages are read and few tiles written at once. */
KERNEL(pack_columns) {
  const pack_args *a = words;
  i32 tiles = tiles_of(a->rows), begin = part(tiles, chunk, chunks), end = part(tiles, chunk + 1, chunks);
  for (i32 k0 = 0; k0 < a->depth; k0 += 16) {
    i32 depth = min_i(16, a->depth - k0);
    for (i32 t = begin; t < end; t++) {
      i32 row = tile_start(a->rows, t), rows = tile_start(a->rows, t + 1) - row;
      float *to = F32(a->out) + (size)row * a->depth + (size)k0 * rows;
      const float *from = F32(a->x) + (size)k0 * a->stride + row;
      if (rows == TILE_ROWS)
        for (i32 k = 0; k < depth; k++, to += TILE_ROWS, from += a->stride) __builtin_memcpy(to, from, TILE_ROWS * 4);
      else
        for (i32 k = 0; k < depth; k++, to += rows, from += a->stride)
          for (i32 r = 0; r < rows; r++) to[r] = from[r];
    }
  }
}

/* A block of numbers and the place it has in a matrix of panels `matrix_inputs` deep. `stride` is the block's row length. */
typedef struct {
  u32 matrix;
  i32 matrix_inputs;
  u32 block;
  i32 stride, output, outputs, input, inputs;
} block_args;

/* From (outputs, inputs). Parts are panels touched. */
KERNEL(pack_outputs_first) {
  const block_args *a = words;
  i32 first = a->output / PANEL, panels = panels_of(a->output + a->outputs) - first, last = first + part(panels, chunk + 1, chunks);
  for (i32 p = first + part(panels, chunk, chunks); p < last; p++) {
    i32 from = max_i(a->output, p * PANEL), to = min_i(a->output + a->outputs, (p + 1) * PANEL);
    for (i32 k = 0; k < a->inputs; k += 64) {
      float *lines = F32(a->matrix) + ((size)p * a->matrix_inputs + a->input + k) * PANEL + (from - p * PANEL);
      turn(lines, PANEL, F32(a->block) + (size)(from - a->output) * a->stride + k, a->stride, to - from, min_i(64, a->inputs - k));
    }
  }
}

/* From (inputs, outputs). 16 inputs at a time, so that few pages are read at once. */
KERNEL(pack_inputs_first) {
  const block_args *a = words;
  i32 first = a->output / PANEL, panels = panels_of(a->output + a->outputs) - first;
  i32 begin = first + part(panels, chunk, chunks), last = first + part(panels, chunk + 1, chunks);
  for (i32 k0 = 0; k0 < a->inputs; k0 += 16) {
    i32 k1 = min_i(k0 + 16, a->inputs);
    for (i32 p = begin; p < last; p++) {
      i32 from = max_i(a->output, p * PANEL), to = min_i(a->output + a->outputs, (p + 1) * PANEL), width = to - from;
      for (i32 k = k0; k < k1; k++) {
        float *line = F32(a->matrix) + ((size)p * a->matrix_inputs + a->input + k) * PANEL + (from - p * PANEL);
        const float *x = F32(a->block) + (size)k * a->stride + (from - a->output);
        if (width == PANEL)
          for (i32 i = 0; i < PANEL; i += LANES) store(line + i, load(x + i));
        else
          for (i32 i = 0; i < width; i++) line[i] = x[i];
      }
    }
  }
}

typedef struct {
  u32 out, matrix;
  i32 inputs, output, outputs;
} turn_args;

/*
 * Panels of W^T, [ceil(inputs / 16)][outputs][16], from W's: rows `output` (a multiple of 16) to output + outputs. Blocks of
 * 16 x 16 lie together on both sides. Parts are panels of W^T; their lanes beyond the last input are left as they were.
 */
KERNEL(turn_panels) {
  const turn_args *a = words;
  i32 panels = panels_of(a->inputs), begin = part(panels, chunk, chunks), end = part(panels, chunk + 1, chunks);
  for (i32 o = 0; o < a->outputs; o += PANEL) {
    const float *from = F32(a->matrix) + (size)(a->output + o) * a->inputs; /* of a panel: (output / 16) * inputs * 16 */
    i32 width = min_i(PANEL, a->outputs - o);
    for (i32 p = begin; p < end; p++)
      turn(F32(a->out) + ((size)p * a->outputs + o) * PANEL, PANEL, from + p * PANEL * PANEL, PANEL, min_i(PANEL, a->inputs - p * PANEL), width);
  }
}

/* One output's weights, gathered from its panel. */
INLINE void unpack_row(float *to, const float *matrix, i32 inputs, i32 row) {
  const float *from = matrix + (size)(row / PANEL) * inputs * PANEL + row % PANEL;
  for (i32 k = 0; k < inputs; k++) to[k] = from[(size)k * PANEL];
}

typedef struct {
  u32 out, matrix;
  i32 inputs, output, outputs;
} unpack_args;

/* out (outputs, inputs): rows from `output` on. */
KERNEL(unpack) {
  const unpack_args *a = words;
  i32 end = part(a->outputs, chunk + 1, chunks);
  for (i32 r = part(a->outputs, chunk, chunks); r < end; r++) unpack_row(F32(a->out) + (size)r * a->inputs, F32(a->matrix), a->inputs, a->output + r);
}

typedef struct {
  u32 out, matrix, ids;
  i32 inputs, rows;
} embed_args;

KERNEL(embed) {
  const embed_args *a = words;
  i32 end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) unpack_row(F32(a->out) + (size)r * a->inputs, F32(a->matrix), a->inputs, I32(a->ids)[r]);
}

typedef struct {
  u32 table, dy, ids;
  i32 inputs, rows;
} embed_backward_args;

/* Row ids[r] of the table += row r of dy. Parts are ranges of columns, so one id may come often and its sum has one order. */
KERNEL(embed_backward) {
  const embed_backward_args *a = words;
  i32 from = part_of(a->inputs, 16, chunk, chunks), to = part_of(a->inputs, 16, chunk + 1, chunks);
  for (i32 r = 0; r < a->rows; r++) {
    i32 row = I32(a->ids)[r];
    float *table = F32(a->table) + (size)(row / PANEL) * a->inputs * PANEL + row % PANEL;
    const float *dy = F32(a->dy) + (size)r * a->inputs;
    for (i32 k = from; k < to; k++) table[(size)k * PANEL] += dy[k];
  }
}

/*
 * bias, residual: 0 when there is none. The parts of the work are tile_parts x panel_parts = chunks.
 * Rows of out and residual lie row_stride apart, and panels of 16 columns panel_stride: (outputs, 16) in a buffer,
 * (16, 16 rows) where out itself lies in panels, as the gradient of a matrix does.
 */
typedef struct {
  u32 out, a, panels, bias, residual;
  i32 activation, rows, outputs, inputs, tile_parts, panel_parts, row_stride, panel_stride;
} gemm_args;

/* activation(sums + bias) + residual -> out, for one panel of a block of rows. */
INLINE void finish(const gemm_args *a, float *sums, i32 row, i32 rows, i32 panel) {
  i32 column = panel * PANEL, width = min_i(PANEL, a->outputs - column);
  if (a->bias) {
    float bias[PANEL] = {0};
    for (i32 i = 0; i < width; i++) bias[i] = F32(a->bias)[column + i];
    for (i32 r = 0; r < rows; r++)
      for (i32 i = 0; i < PANEL; i += LANES) store(sums + r * PANEL + i, load(sums + r * PANEL + i) + load(bias + i));
  }
  if (a->activation) activate_run(sums, sums, rows * PANEL, a->activation);
  size at = (size)row * a->row_stride + (size)panel * a->panel_stride;
  float *out = F32(a->out) + at;
  const float *residual = a->residual ? F32(a->residual) + at : 0;
  for (i32 r = 0; r < rows; r++, out += a->row_stride, sums += PANEL) {
    if (width == PANEL) {
      for (i32 i = 0; i < PANEL; i += LANES) store(out + i, residual ? load(sums + i) + load(residual + i) : load(sums + i));
    } else {
      for (i32 i = 0; i < width; i++) out[i] = residual ? sums[i] + residual[i] : sums[i];
    }
    if (residual) residual += a->row_stride;
  }
}

/* `depth` inputs of `count` fp16 panels, which lie `apart` numbers apart, as fp32, DEPTH_BLOCK inputs apart. */
INLINE void convert_panels(float *to, const u16 *from, size apart, i32 count, i32 depth) {
  for (i32 p = 0; p < count; p++, to += DEPTH_BLOCK * PANEL, from += apart)
    for (i32 i = 0; i < depth * PANEL; i += LANES) store(to + i, halves(from + i));
}

/*
 * The product of few rows, one tile: all it does is read W. Several panels go at once, each from a place of its own that is read
 * straight on to the next: a processor fetches ahead along what it reads, and would have to begin anew behind every panel if
 * they stood side by side (wasm 1.3 x as fast, docs/log.md).
 */
static void multiply_tile(const gemm_args *a, i32 begin, i32 end) {
  float sums[TILE_ROWS * PANEL * MOST_PANELS] __attribute__((aligned(64)));
  i32 rows = a->rows, places = panels_at_once(rows), run = (end - begin) / places;
  size panel = (size)a->inputs * PANEL;
  for (i32 p = begin; p < begin + run; p++) {
    tile_wide(places, rows, sums, rows * PANEL, F32(a->a), F32(a->panels) + p * panel, run * panel, a->inputs, 1);
    for (i32 i = 0; i < places; i++) finish(a, sums + i * rows * PANEL, 0, rows, p + i * run);
  }
  for (i32 p = begin + places * run; p < end; p++) {
    tile(rows, sums, F32(a->a), F32(a->panels) + p * panel, a->inputs, 1);
    finish(a, sums, 0, rows, p);
  }
}

/*
 * out (rows, outputs) = activation(A W^T + bias) + residual; A packed in tiles, W in panels.
 * Sums of a block of rows and one panel wait in a small array on the stack, so `out` is written once and may be `residual`.
 * W is fp16 when there is room for `converted` numbers, DEPTH_BLOCK inputs of MOST_PANELS panels.
 */
INLINE void multiply(const gemm_args *a, i32 chunk, float *converted) {
  i32 tiles = tiles_of(a->rows), panels = panels_of(a->outputs);
  i32 tile_part = chunk / a->panel_parts, panel_part = chunk % a->panel_parts;
  i32 first_tile = part(tiles, tile_part, a->tile_parts), last_tile = part(tiles, tile_part + 1, a->tile_parts);
  i32 first_panel = part(panels, panel_part, a->panel_parts), last_panel = part(panels, panel_part + 1, a->panel_parts);
  float sums[ROW_BLOCK * PANEL * MOST_PANELS] __attribute__((aligned(64)));
  size apart = (size)a->inputs * PANEL;
  if (tiles == 1 && !converted) {
    if (first_tile < last_tile) multiply_tile(a, first_panel, last_panel);
    return;
  }

  for (i32 block = first_tile; block < last_tile;) {
    i32 block_row = tile_start(a->rows, block), block_end = block + 1;
    while (block_end < last_tile && tile_start(a->rows, block_end + 1) - block_row <= ROW_BLOCK) block_end++;
    i32 block_rows = tile_start(a->rows, block_end) - block_row, sums_apart = block_rows * PANEL;
    i32 step = block_rows > TILE_ROWS || converted ? DEPTH_BLOCK : max_i(1, a->inputs); /* one tile alone gains nothing from staying in cache */
    for (i32 p = first_panel, count; p < last_panel; p += count) {
      count = last_panel - p >= panels_at_once(block_rows) ? panels_at_once(block_rows) : 1;
      for (i32 k = 0; k == 0 || k < a->inputs; k += step) {
        i32 depth = min_i(step, a->inputs - k);
        size at = p * apart + (size)k * PANEL;
        const float *w = converted ? converted : F32(a->panels) + at;
        if (converted) convert_panels(converted, (const u16 *)HEAP(a->panels) + at, apart, count, depth);
        for (i32 t = block, row = block_row; t < block_end; t++) {
          i32 next = tile_start(a->rows, t + 1), rows = next - row;
          const float *tile_of_a = F32(a->a) + (size)row * a->inputs + (size)k * rows;
          tile_wide(count, rows, sums + (row - block_row) * PANEL, sums_apart, tile_of_a, w, converted ? DEPTH_BLOCK * PANEL : apart, depth, k == 0);
          row = next;
        }
      }
      for (i32 i = 0; i < count; i++) finish(a, sums + i * sums_apart, block_row, block_rows, p + i);
    }
    block = block_end;
  }
}

KERNEL(gemm) { (void)chunks, multiply(words, chunk, 0); }
