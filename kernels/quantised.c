/*
 * Small weights: fp16, and blocks of 32 inputs with one fp16 scale, as bytes (int8) or nibbles (int4). How they are made from fp32,
 * how they are read back, and products with blocks. Scales and rounding are ggml's Q8_0 and Q4_0, so the numbers are those
 * of a GGUF file; only their order is ours. fp16 products are half.c's.
 *
 * A panel of 16 outputs holds its scales, [blocks][16] fp16, filled up to 64 bytes; then its numbers:
 *   int8  [blocks][8][16][4] bytes, number + 128: 4 inputs of one output lie together.
 *   int4  [blocks][4][16][4] bytes: the low nibble of byte (g, o, i) is input 4 g + i, the high one input 4 g + i + 16; number + 8.
 *
 * Rows are cut into blocks of whole numbers too (scale: largest magnitude / 32767 or 127), so blocks multiply exactly; only
 * the blocks' sums are added in fp32, always in ascending order, so the bits depend on neither tiles nor threads.
 * int4 weights meet rows of 8 bits; int8 weights meet 16 bits, but 8 where that is faster and the matrix is large (narrow.h).
 */
#include "functions.h"
#include "narrow.h"

#define BLOCK 32
INLINE i32 blocks_of(i32 inputs) { return (inputs + BLOCK - 1) / BLOCK; }
INLINE size scales_bytes(i32 blocks) { return ((size)blocks * PANEL * 2 + 63) & ~(size)63; }
INLINE size numbers_bytes(i32 blocks, i32 bits) { return (size)blocks * BLOCK * PANEL * bits / 8; }
INLINE size panel_bytes(i32 blocks, i32 bits) { return scales_bytes(blocks) + numbers_bytes(blocks, bits); }

/* Whole numbers nearest to x, halves away from 0; |x| small. */
INLINE vi round_away(vf x) {
  vi whole = __builtin_convertvector(x, vi);
  vf rest = x - __builtin_convertvector(whole, vf);
  return whole - (vi)(rest >= splat(0.5f)) + (vi)(rest <= splat(-0.5f));
}

/* One output's 32 weights into its place in the block. */
static void pack_int8(u16 *scale, u8 *numbers, const float *w) {
  vf most = {};
  for (i32 i = 0; i < BLOCK; i += LANES) most = larger(most, absolute(load(w + i)));
  float step = max_lanes(most) / 127, inverse = step == 0 ? 0 : 1 / step;
  *scale = (u16)half_bits(splat(step))[0];
  i32 q[BLOCK];
  for (i32 i = 0; i < BLOCK; i += LANES) *(viu *)(q + i) = round_away(load(w + i) * splat(inverse)) + 128;
  for (i32 g = 0; g < 8; g++)
    for (i32 i = 0; i < 4; i++) numbers[g * 4 * PANEL + i] = (u8)q[4 * g + i];
}

/* Scale = the weight of largest magnitude, with its sign, / -8, so that it becomes -8 and all 16 steps are used. */
static void pack_int4(u16 *scale, u8 *numbers, const float *w) {
  float most = 0, extreme = 0;
  for (i32 i = 0; i < BLOCK; i++) {
    float magnitude = w[i] < 0 ? -w[i] : w[i];
    if (magnitude > most) most = magnitude, extreme = w[i];
  }
  float step = extreme / -8, inverse = step == 0 ? 0 : 1 / step;
  *scale = (u16)half_bits(splat(step))[0];
  i32 q[BLOCK];
  for (i32 i = 0; i < BLOCK; i += LANES) *(viu *)(q + i) = __builtin_convertvector(load(w + i) * splat(inverse) + splat(8.5f), vi);
  for (i32 g = 0; g < 4; g++)
    for (i32 i = 0; i < 4; i++) numbers[g * 4 * PANEL + i] = (u8)(min_i(q[4 * g + i], 15) | min_i(q[4 * g + i + 16], 15) << 4);
}

/* A block of numbers and the place it has in a matrix. bits: 16, 8 or 4. `refused` becomes 1 when a number is not below `limit`. */
typedef struct {
  u32 matrix;
  i32 matrix_inputs;
  u32 block;
  i32 stride, output, outputs, input, inputs, inputs_first, bits;
  float limit;
  u32 refused;
} pack_small_args;

/* Up to 32 inputs x 16 outputs from `input` and `output` of the whole matrix, as [16][32]; 0 where there are none. Gives whether all are below the limit. */
INLINE i32 fetch(float *to, const pack_small_args *a, i32 output, i32 outputs, i32 input, i32 inputs) {
  const float *from = F32(a->block);
  i32 o0 = output - a->output, i0 = input - a->input;
  if (inputs < BLOCK) __builtin_memset(to, 0, sizeof(float) * BLOCK * PANEL);
  if (a->inputs_first) {
    for (i32 i = 0; i < inputs; i++)
      for (i32 o = 0; o < outputs; o++) to[o * BLOCK + i] = from[(size)(i0 + i) * a->stride + o0 + o];
  } else {
    for (i32 o = 0; o < outputs; o++)
      for (i32 i = 0; i < inputs; i++) to[o * BLOCK + i] = from[(size)(o0 + o) * a->stride + i0 + i];
  }
  vi fine = splat_i(-1);
  for (i32 o = 0; o < outputs; o++)
    for (i32 i = 0; i < BLOCK; i += LANES) fine &= (vi)(absolute(load(to + o * BLOCK + i)) < splat(a->limit));
  return !any(~fine);
}

/* Parts are panels touched. Inputs begin at a multiple of 32 and end at one or at the matrix's end. */
KERNEL(pack_small) {
  const pack_small_args *a = words;
  i32 first = a->output / PANEL, panels = panels_of(a->output + a->outputs) - first, last = first + part(panels, chunk + 1, chunks);
  i32 blocks = blocks_of(a->matrix_inputs), good = 1;
  float w[PANEL * BLOCK] __attribute__((aligned(64)));
  for (i32 p = first + part(panels, chunk, chunks); p < last; p++) {
    i32 from = max_i(a->output, p * PANEL), to = min_i(a->output + a->outputs, (p + 1) * PANEL), lane = from - p * PANEL;
    for (i32 k = a->input; k < a->input + a->inputs; k += BLOCK) {
      i32 inputs = min_i(BLOCK, a->input + a->inputs - k);
      good &= fetch(w, a, from, to - from, k, inputs);
      if (a->bits == 16) {
        u16 *lines = (u16 *)HEAP(a->matrix) + ((size)p * a->matrix_inputs + k) * PANEL + lane;
        for (i32 o = 0; o < to - from; o++)
          for (i32 i = 0; i < inputs; i += LANES) {
            vi h = half_bits(load(w + o * BLOCK + i));
            for (i32 j = 0; j < LANES && i + j < inputs; j++) lines[(i + j) * PANEL + o] = (u16)h[j];
          }
        continue;
      }
      u8 *panel = (u8 *)HEAP(a->matrix) + p * panel_bytes(blocks, a->bits);
      u16 *scales = (u16 *)panel + (size)(k / BLOCK) * PANEL + lane;
      u8 *numbers = panel + scales_bytes(blocks) + numbers_bytes(k / BLOCK, a->bits) + 4 * lane;
      for (i32 o = 0; o < to - from; o++, numbers += 4) {
        if (a->bits == 8) pack_int8(scales + o, numbers, w + o * BLOCK);
        else pack_int4(scales + o, numbers, w + o * BLOCK);
      }
    }
  }
  if (!good) *I32(a->refused) = 1;
}

/* Rows of a matrix as fp32: those of `ids`, or from `output` on when ids is 0. */
typedef struct {
  u32 out, matrix, ids;
  i32 inputs, output, rows, bits;
} unpack_small_args;

KERNEL(unpack_small) {
  const unpack_small_args *a = words;
  i32 end = part(a->rows, chunk + 1, chunks), blocks = blocks_of(a->inputs);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    i32 row = a->ids ? I32(a->ids)[r] : a->output + r, lane = row % PANEL;
    float *out = F32(a->out) + (size)r * a->inputs;
    if (a->bits == 16) {
      const u16 *from = (const u16 *)HEAP(a->matrix) + (size)(row / PANEL) * a->inputs * PANEL + lane;
      for (i32 k = 0; k < a->inputs; k++) out[k] = half_1(from[(size)k * PANEL]);
      continue;
    }
    const u8 *panel = (const u8 *)HEAP(a->matrix) + row / PANEL * panel_bytes(blocks, a->bits);
    const u16 *scales = (const u16 *)panel + lane;
    const u8 *numbers = panel + scales_bytes(blocks) + 4 * lane;
    for (i32 k = 0; k < a->inputs; k++) {
      i32 b = k / BLOCK, i = k % BLOCK, q;
      if (a->bits == 8) q = numbers[((size)b * 8 + i / 4) * 4 * PANEL + i % 4] - 128;
      else q = (numbers[((size)b * 4 + i % 16 / 4) * 4 * PANEL + i % 4] >> (i / 16 * 4) & 15) - 8;
      out[k] = half_1(scales[(size)b * PANEL]) * (float)q + 0; /* + 0: no -0 */
    }
  }
}

/*
 * Rows for the products: tiles of a few rows, [blocks][words][rows of the tile] of 32-bit words, where words are the 8 groups of
 * 4 numbers (of one or two words, narrow.h), what the block's sum begins with, and its scale (fp32).
 */
#define TILE_WORDS(words) (8 * (words) + 2)

/* Rows of a tile, whose sums fill the registers (docs/log.md). On wasm 4 rows x 4 outputs: wider tiles and unrolled groups spill. */
#ifndef INT8_ROWS
#if LANES == 16
#define INT8_ROWS 12
#elif LANES == 8 && defined(VNNI)
#define INT8_ROWS 6
#else
#define INT8_ROWS 4
#endif
#endif
#ifndef INT4_ROWS
#if LANES == 16
#define INT4_ROWS 12
#elif LANES == 8
#define INT4_ROWS 6
#else
#define INT4_ROWS 4
#endif
#endif

/* Do rows of so many inputs meet int8 weights as bytes? */
INLINE i32 rows_of_bytes(i32 inputs) {
#ifdef BYTES_FROM
  return inputs >= BYTES_FROM;
#else
  return (void)inputs, 0;
#endif
}

INLINE i32 block_tiles_of(i32 rows, i32 most) { return (rows + most - 1) / most; }
INLINE i32 block_tile_start(i32 rows, i32 most, i32 t) {
  i32 tiles = block_tiles_of(rows, most), least = rows / tiles, more = rows % tiles;
  return t * least + min_i(t, more);
}

/* In every four lanes: the third and fourth to where the first and second are. */
INLINE vi upper_pairs(vi v) {
#if LANES == 16
  return __builtin_shufflevector(v, v, 2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15);
#elif LANES == 8
  return __builtin_shufflevector(v, v, 2, 3, 2, 3, 6, 7, 6, 7);
#else
  return __builtin_shufflevector(v, v, 2, 3, 2, 3);
#endif
}

/* One block of one row; count < 32 at the end of a row. `step` words apart. */
INLINE void quantise_block(i32 *to, i32 step, const float *x, i32 count, i32 words, i32 greatest, i32 zero) {
  float padded[BLOCK];
  if (count < BLOCK) {
    for (i32 i = 0; i < BLOCK; i++) padded[i] = i < count ? x[i] : 0;
    x = padded;
  }
  /* Magnitudes compare as whole numbers do, and what is not finite is above all others. */
  vi most = {};
  for (i32 i = 0; i < BLOCK; i += LANES) most = larger_i(most, (vi)absolute(load(x + i)));
  union { i32 bits; float f; } largest = {max_lanes_i(most)};
  float scale = largest.f / (float)greatest, inverse = scale == 0 ? 0 : (float)greatest / largest.f;
  if (largest.bits >= 0x7f800000) scale = infinity() - infinity(), inverse = 0; /* NaN goes on */
  else if (!(inverse < infinity())) scale = 0, inverse = 0;                     /* a subnormal block counts as 0 */
  vi total = {};
  i32 q[BLOCK];
  for (i32 i = 0; i < BLOCK; i += LANES) {
    vi v = inverse == 0 ? (vi){} : (vi)(load(x + i) * splat(inverse) + splat(12582912.0f)) - (vi)splat(12582912.0f);
    total += v;
    if (words == 1) *(vbu *)((char *)q + i) = __builtin_convertvector(v, vb);
    else *(viu *)(q + i) = (v & 0xffff) | upper_pairs(v) << 16; /* the words are the first two of each four */
  }
  for (i32 g = 0; g < 8; g++) {
    if (words == 1) to[g * step] = q[g];
    else to[2 * g * step] = q[4 * g], to[(2 * g + 1) * step] = q[4 * g + 1];
  }
  to[8 * words * step] = -zero * sum_lanes_i(total);
  ((float *)to)[(8 * words + 1) * step] = scale;
}

typedef struct {
  u32 out, x;
  i32 rows, depth, bits;
} quantise_args;

INLINE void quantise_tiles(const quantise_args *a, i32 chunk, i32 chunks, i32 most, i32 words, i32 greatest, i32 zero) {
  i32 tiles = block_tiles_of(a->rows, most), end = part(tiles, chunk + 1, chunks), blocks = blocks_of(a->depth);
  for (i32 t = part(tiles, chunk, chunks); t < end; t++) {
    i32 row = block_tile_start(a->rows, most, t), rows = block_tile_start(a->rows, most, t + 1) - row;
    i32 *to = I32(a->out) + (size)row * blocks * TILE_WORDS(words);
    if (rows == 1) { /* its words lie side by side, which is worth knowing beforehand */
      const float *x = F32(a->x) + (size)row * a->depth;
      for (i32 b = 0; b < blocks; b++)
        quantise_block(to + (size)b * TILE_WORDS(words), 1, x + b * BLOCK, min_i(BLOCK, a->depth - b * BLOCK), words, greatest, zero);
      continue;
    }
    for (i32 r = 0; r < rows; r++) {
      const float *x = F32(a->x) + (size)(row + r) * a->depth;
      for (i32 b = 0; b < blocks; b++)
        quantise_block(to + (size)b * TILE_WORDS(words) * rows + r, rows, x + b * BLOCK, min_i(BLOCK, a->depth - b * BLOCK), words, greatest, zero);
    }
  }
}

/* x (rows, depth) -> tiles for products with weights of so many bits. Parts are tiles. */
KERNEL(quantise_rows) {
  const quantise_args *a = words;
  if (a->bits == 8 && rows_of_bytes(a->depth)) quantise_tiles(a, chunk, chunks, INT8_ROWS, BYTES_WORDS, BYTES_MOST, BYTES_ZERO);
  else if (a->bits == 8) quantise_tiles(a, chunk, chunks, INT8_ROWS, INT8_WORDS, INT8_MOST, INT8_ZERO);
  else quantise_tiles(a, chunk, chunks, INT4_ROWS, INT4_WORDS, INT4_MOST, INT4_ZERO);
}

/* Unrolled, GCC adds whole numbers in another order and runs out of registers; so does V8. Single instructions are safe from that. */
#ifndef VNNI
#define EACH_GROUP(g, count) _Pragma("GCC unroll 1") for (i32 g = 0; g < count; g++)
#else
#define EACH_GROUP(g, count) _Pragma("GCC unroll 8") for (i32 g = 0; g < count; g++)
#endif

/*
 * sums (R, V vectors; rows PANEL apart) = [sums +] a tile's rows times V vectors of a panel's outputs, over some blocks.
 * KIND: INT8, INT4 or, for int8 weights and rows of bytes, BYTES.
 */
#define BLOCK_TILE(KIND, R, V)                                                                                                                       \
  __attribute__((noinline)) static void KIND##_##R##_##V(float *sums, const i32 *x, const u8 *numbers, const u16 *scales, i32 blocks, i32 fresh) {   \
    vf total[R][V];                                                                                                                                  \
    EACH(r, R) EACH(v, V) total[r][v] = fresh ? (vf){} : load(sums + r * PANEL + v * LANES);                                                         \
    _Pragma("GCC unroll 1") for (i32 b = 0; b < blocks; b++) {                                                                                       \
      const i32 *init = x + 8 * KIND##_WORDS * R;                                                                                                    \
      vi s[R][V];                                                                                                                                    \
      EACH(r, R) EACH(v, V) s[r][v] = START_##KIND(init[r]);                                                                                         \
      GROUPS_##KIND(R, V);                                                                                                                           \
      EACH(v, V) {                                                                                                                                   \
        vf step = halves(scales + v * LANES);                                                                                                        \
        EACH(r, R) {                                                                                                                                 \
          vf whole = __builtin_convertvector(END_##KIND(s[r][v], init[r]), vf);                                                                      \
          total[r][v] = madd(whole, step * splat(((const float *)init)[R + r]), total[r][v]);                                                        \
        }                                                                                                                                            \
      }                                                                                                                                              \
      x += TILE_WORDS(KIND##_WORDS) * R;                                                                                                             \
      numbers += KIND##_GROUPS * PANEL * 4;                                                                                                          \
      scales += PANEL;                                                                                                                               \
    }                                                                                                                                                \
    EACH(r, R) EACH(v, V) store(sums + r * PANEL + v * LANES, total[r][v]);                                                                          \
  }

/* One vector of stored weights for each v, of group g. */
#define STORED(R, V)                                                                                                                                 \
  vi w[V];                                                                                                                                           \
  FETCH_AHEAD(R, numbers + g * PANEL * 4, 8192);                                                                                                     \
  EACH(v, V) w[v] = load_i(numbers + (g * PANEL + v * LANES) * 4);

#define GROUPS_INT8(R, V)                                                                                                                            \
  EACH_GROUP(g, INT8_GROUPS) {                                                                                                                       \
    STORED(R, V)                                                                                                                                     \
    EACH(word, INT8_WORDS) {                                                                                                                         \
      vi p[V];                                                                                                                                       \
      EACH(v, V) p[v] = part8(w[v], word);                                                                                                           \
      EACH(r, R) EACH(v, V) s[r][v] = add_pairs(s[r][v], p[v], splat_i(x[(g * INT8_WORDS + word) * R + r]));                                         \
    }                                                                                                                                                \
  }

#define GROUPS_BYTES(R, V)                                                                                                                           \
  EACH_GROUP(g, BYTES_GROUPS) {                                                                                                                      \
    STORED(R, V)                                                                                                                                     \
    EACH(r, R) EACH(v, V) s[r][v] = add_bytes(s[r][v], w[v], splat_i(x[g * R + r]));                                                                 \
  }

#define GROUPS_INT4(R, V)                                                                                                                            \
  EACH_GROUP(g, INT4_GROUPS) {                                                                                                                       \
    STORED(R, V)                                                                                                                                     \
    EACH(high, 2) EACH(word, INT4_WORDS) {                                                                                                           \
      vi p[V];                                                                                                                                       \
      EACH(v, V) p[v] = part4(w[v], high, word);                                                                                                     \
      EACH(r, R) EACH(v, V) s[r][v] = add_nibbles(s[r][v], p[v], splat_i(x[((g + 4 * high) * INT4_WORDS + word) * R + r]));                          \
    }                                                                                                                                                \
  }

/* A tile of R rows and a whole panel, V vectors at a time. */
#define BLOCK_CASE(KIND, R, V)                                                                                                                       \
  case R:                                                                                                                                            \
    for (i32 v = 0; v < PANEL_VECTORS; v += V) KIND##_##R##_##V(sums + v * LANES, x, numbers + v * LANES * 4, scales + v * LANES, blocks, fresh);    \
    break;

#if LANES == 16
#define BLOCK_TILES(KIND, DO)                                                                                                                        \
  DO(KIND, 1, 1) DO(KIND, 2, 1) DO(KIND, 3, 1) DO(KIND, 4, 1) DO(KIND, 5, 1) DO(KIND, 6, 1) DO(KIND, 7, 1) DO(KIND, 8, 1) DO(KIND, 9, 1)              \
  DO(KIND, 10, 1) DO(KIND, 11, 1) DO(KIND, 12, 1)
#elif LANES == 8
#define BLOCK_TILES(KIND, DO) DO(KIND, 1, 2) DO(KIND, 2, 2) DO(KIND, 3, 2) DO(KIND, 4, 2) DO(KIND, 5, 2) DO(KIND, 6, 2)
#else
#define BLOCK_TILES(KIND, DO) DO(KIND, 1, 2) DO(KIND, 2, 1) DO(KIND, 3, 1) DO(KIND, 4, 1)
#endif

/* One tile of `rows` and a panel. */
typedef void block_tile(i32 rows, float *sums, const i32 *x, const u8 *numbers, const u16 *scales, i32 blocks, i32 fresh);
#define TILE_OF_ANY_ROWS(KIND)                                                                                                                       \
  BLOCK_TILES(KIND, BLOCK_TILE)                                                                                                                      \
  INLINE void KIND##_tile(i32 rows, float *sums, const i32 *x, const u8 *numbers, const u16 *scales, i32 blocks, i32 fresh) {                        \
    switch (rows) { BLOCK_TILES(KIND, BLOCK_CASE) }                                                                                                  \
  }
TILE_OF_ANY_ROWS(INT8)
TILE_OF_ANY_ROWS(INT4)
#ifdef BYTES_FROM
TILE_OF_ANY_ROWS(BYTES)
#endif

/*
 * What stays in the first cache while the panels go by: so many rows, so many blocks at a time. With bytes the second cache is
 * too slow for 96 rows as in linear.c: 36 are 8 % faster on AVX-512 with VNNI (docs/log.md).
 */
#ifndef ROWS_AT_ONCE
#define ROWS_AT_ONCE 36
#endif
#ifndef BLOCKS_AT_ONCE
#define BLOCKS_AT_ONCE 24
#endif

/* As `gemm`, with rows from quantise_rows and panels of blocks. */
INLINE void gemm_blocks(const gemm_args *a, i32 chunk, i32 bits, i32 most, i32 words, block_tile *tile_of) {
  i32 tiles = block_tiles_of(a->rows, most), panels = panels_of(a->outputs), blocks = blocks_of(a->inputs);
  i32 tile_part = chunk / a->panel_parts, panel_part = chunk % a->panel_parts;
  i32 first_tile = part(tiles, tile_part, a->tile_parts), last_tile = part(tiles, tile_part + 1, a->tile_parts);
  i32 first_panel = part(panels, panel_part, a->panel_parts), last_panel = part(panels, panel_part + 1, a->panel_parts);
  float sums[ROWS_AT_ONCE * PANEL] __attribute__((aligned(64)));

  for (i32 block = first_tile; block < last_tile;) {
    i32 block_row = block_tile_start(a->rows, most, block), block_end = block + 1;
    while (block_end < last_tile && block_tile_start(a->rows, most, block_end + 1) - block_row <= ROWS_AT_ONCE) block_end++;
    i32 block_rows = block_tile_start(a->rows, most, block_end) - block_row;
    i32 step = block_end - block > 1 ? BLOCKS_AT_ONCE : blocks;
    const u8 *panel = (const u8 *)HEAP(a->panels) + first_panel * panel_bytes(blocks, bits), *touched = panel;
    const u8 *end = panel + (last_panel - first_panel) * panel_bytes(blocks, bits);
    for (i32 p = first_panel; p < last_panel; p++, panel += panel_bytes(blocks, bits)) {
      if (a->rows <= 2) touched = touch_ahead(touched, panel + panel_bytes(blocks, bits), end);
      const u8 *numbers = panel + scales_bytes(blocks);
      for (i32 b = 0; b < blocks; b += step) {
        for (i32 t = block, row = block_row; t < block_end; t++) {
          i32 next = block_tile_start(a->rows, most, t + 1), rows = next - row;
          const i32 *x = I32(a->a) + ((size)row * blocks + (size)b * rows) * TILE_WORDS(words);
          tile_of(rows, sums + (row - block_row) * PANEL, x, numbers + numbers_bytes(b, bits), (const u16 *)panel + (size)b * PANEL,
                  min_i(step, blocks - b), b == 0);
          row = next;
        }
      }
      finish(a, sums, block_row, block_rows, p);
    }
    block = block_end;
  }
}

KERNEL(gemm_int8) {
  (void)chunks;
#ifdef BYTES_FROM
  if (rows_of_bytes(((const gemm_args *)words)->inputs)) {
    gemm_blocks(words, chunk, 8, INT8_ROWS, BYTES_WORDS, BYTES_tile);
    return;
  }
#endif
  gemm_blocks(words, chunk, 8, INT8_ROWS, INT8_WORDS, INT8_tile);
}

KERNEL(gemm_int4) { (void)chunks, gemm_blocks(words, chunk, 4, INT4_ROWS, INT4_WORDS, INT4_tile); }
