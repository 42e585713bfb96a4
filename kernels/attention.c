/*
 * Causal attention over the key/value caches. `attention_block` serves prompts: blocks of queries against blocks of keys
 * through the same tiles as gemm, with the running maximum and sum of Milakov and Gimelshein (2018), so memory does not
 * grow with S. `attention_row` serves decoding: a few queries against all keys, each key and value read once.
 * `attention_scores` and `attention_mix` are the same in two steps, for listeners.
 */
#include "functions.h"
#include "shuffle.h"
#include "tile.h"

typedef struct {
  u32 out, q, keys, values, past;
  i32 B, T, H, KV, D, capacity, window;
  float scale;
  i32 S;          /* scores and mix: columns of the pattern */
  i32 block_rows; /* attention_block: queries of one block */
} attention_args;

/* What one item of work sees: a sequence, one key head and its keys. */
typedef struct {
  i32 b, kv, past;
  const float *keys, *values;
} head;

INLINE head head_of(const attention_args *a, i32 index) {
  head h = {index / a->KV, index % a->KV, 0, 0, 0};
  h.past = I32(a->past)[h.b];
  h.keys = F32(a->keys) + (size)index * a->capacity * a->D;
  h.values = F32(a->values) + (size)index * a->capacity * a->D;
  return h;
}

/* Queries that share a key head are numbered r = t * group + g. Where query r of q or out (B, T, H, D) lies: */
INLINE size query_at(const attention_args *a, head h, i32 r) {
  i32 group = a->H / a->KV;
  return (((size)h.b * a->T + r / group) * a->H + h.kv * group + r % group) * a->D;
}
INLINE i32 position_of(const attention_args *a, head h, i32 r) { return h.past + r / (a->H / a->KV); }
INLINE i32 first_visible(const attention_args *a, i32 position) { return a->window > 0 ? max_i(0, position - a->window + 1) : 0; }

INLINE float dot(const float *x, const float *y, i32 length) {
  vf s[2] = {0};
  i32 i = 0;
  for (; i + 2 * LANES <= length; i += 2 * LANES)
    for (i32 j = 0; j < 2; j++) s[j] = madd(load(x + i + j * LANES), load(y + i + j * LANES), s[j]);
  for (; i + LANES <= length; i += LANES) s[0] = madd(load(x + i), load(y + i), s[0]);
  float sum = sum_lanes(s[0] + s[1]);
  for (; i < length; i++) sum += x[i] * y[i];
  return sum;
}

/* Four keys at once, `stride` apart. */
INLINE void dot_4(float *out, const float *q, const float *key, i32 D) {
  vf s[4] = {0};
  i32 d = 0;
  for (; d + LANES <= D; d += LANES) {
    vf x = load(q + d);
    for (i32 j = 0; j < 4; j++) s[j] = madd(x, load(key + j * D + d), s[j]);
  }
#if LANES == 4
  transpose4(&s[0], &s[1], &s[2], &s[3]);
  store4(out, (s[0] + s[1]) + (s[2] + s[3]));
#else
  for (i32 j = 0; j < 4; j++) out[j] = sum_lanes(s[j]);
#endif
  for (; d < D; d++)
    for (i32 j = 0; j < 4; j++) out[j] += q[d] * key[j * D + d];
}

/* out (D) = out * keep + sum over j of p[j] values[j]; `keep` 0 starts afresh whatever out holds. */
INLINE void mix(float *out, float keep, const float *p, const float *values, i32 count, i32 D) {
  i32 d = 0;
  for (; d + 4 * LANES <= D; d += 4 * LANES) {
    vf s[4];
    for (i32 i = 0; i < 4; i++) s[i] = keep == 0 ? (vf){} : load(out + d + i * LANES) * keep;
    const float *v = values + d;
    for (i32 j = 0; j < count; j++, v += D) {
      vf weight = splat(p[j]);
      for (i32 i = 0; i < 4; i++) s[i] = madd(weight, load(v + i * LANES), s[i]);
    }
    for (i32 i = 0; i < 4; i++) store(out + d + i * LANES, s[i]);
  }
  for (; d + LANES <= D; d += LANES) {
    vf s = keep == 0 ? (vf){} : load(out + d) * keep;
    for (i32 j = 0; j < count; j++) s = madd(splat(p[j]), load(values + (size)j * D + d), s);
    store(out + d, s);
  }
  for (; d < D; d++) {
    float s = keep == 0 ? 0 : out[d] * keep;
    for (i32 j = 0; j < count; j++) s += p[j] * values[(size)j * D + d];
    out[d] = s;
  }
}

#define ROW_KEYS 128

/* T * H / KV small. Parts are (sequence, key head) pairs. */
KERNEL(attention_row) {
  const attention_args *a = words;
  i32 D = a->D, queries = a->T * (a->H / a->KV), heads = a->B * a->KV, end = part(heads, chunk + 1, chunks);
  float p[ROW_KEYS] __attribute__((aligned(64)));
  float most[queries], total[queries];

  for (i32 index = part(heads, chunk, chunks); index < end; index++) {
    head h = head_of(a, index);
    for (i32 r = 0; r < queries; r++) most[r] = -infinity(), total[r] = 0;
    i32 stop = h.past + a->T;
    for (i32 j0 = first_visible(a, h.past); j0 < stop; j0 += ROW_KEYS) {
      for (i32 r = 0; r < queries; r++) {
        i32 position = position_of(a, h, r), begin = max_i(j0, first_visible(a, position)), count = min_i(j0 + ROW_KEYS, position + 1) - begin;
        if (count <= 0) continue;
        const float *q = F32(a->q) + query_at(a, h, r), *key = h.keys + (size)begin * D;
        i32 j = 0;
        for (; j + 4 <= count; j += 4) dot_4(p + j, q, key + (size)j * D, D);
        for (; j < count; j++) p[j] = dot(q, key + (size)j * D, D);

        i32 padded = (count + LANES - 1) / LANES * LANES;
        for (; j < padded; j++) p[j] = -infinity();
        vf high = splat(-infinity());
        for (j = 0; j < padded; j += LANES) {
          vf s = load(p + j) * a->scale;
          store(p + j, s);
          high = larger(high, s);
        }
        float now = max_lanes(high), max = now > most[r] ? now : most[r];
        float keep = most[r] == -infinity() ? 0 : exp_1(most[r] - max);
        vf sum = {0}, shift = splat(max > -infinity() ? max : 0);
        for (j = 0; j < padded; j += LANES) {
          vf e = exp_v(load(p + j) - shift);
          store(p + j, e);
          sum += e;
        }
        most[r] = max;
        total[r] = total[r] * keep + sum_lanes(sum);
        mix(F32(a->out) + query_at(a, h, r), keep, p, h.values + (size)begin * D, count, D);
      }
    }
    for (i32 r = 0; r < queries; r++) {
      float *out = F32(a->out) + query_at(a, h, r), inverse = 1.0f / total[r];
      for (i32 d = 0; d < D; d++) out[d] *= inverse;
    }
  }
}

#define BLOCK_KEYS 64
#define BLOCK_PANELS (BLOCK_KEYS / PANEL)

/*
 * One block of queries r0 .. r0 + rows of one key head. Work arrays are handed in, sized for it:
 * packed_q rows x D tiles, key_panels [BLOCK_PANELS][D][PANEL], value_panels and sums in panels of D, scores in panels of keys.
 */
typedef struct {
  float *packed_q, *key_panels, *value_panels, *scores, *packed_p, *sums, *most, *total;
} block_arrays;

/* Packs keys j0 .. j0 + count turned, absent ones as 0; values as they lie. */
INLINE void pack_keys_and_values(const attention_args *a, head h, block_arrays w, i32 j0, i32 count) {
  i32 D = a->D;
  for (i32 j = 0; j < count; j += PANEL) {
    float *panel = w.key_panels + (size)j * D;
    i32 keys = min_i(PANEL, count - j);
    if (keys < PANEL)
      for (i32 i = 0; i < D * PANEL; i += LANES) store(panel + i, (vf){});
    turn(panel, PANEL, h.keys + (size)(j0 + j) * D, D, keys, D);
  }
  for (i32 d = 0; d < D; d += PANEL) {
    i32 width = min_i(PANEL, D - d);
    float *line = w.value_panels + (size)d * count;
    const float *v = h.values + (size)j0 * D + d;
    for (i32 j = 0; j < count; j++, line += PANEL, v += D) {
      if (width == PANEL)
        for (i32 i = 0; i < PANEL; i += LANES) store(line + i, load(v + i));
      else
        for (i32 i = 0; i < PANEL; i++) line[i] = i < width ? v[i] : 0;
    }
  }
}

/*
 * Scores of one row become exp(score - running maximum), zero where hidden; the row's sums are scaled to the new maximum.
 * `row` points at its 16 scores of the first panel, further panels lie `stride` on. Whole panels are processed.
 */
INLINE void soften_row(block_arrays w, i32 r, i32 rows, float *row, i32 stride, i32 panels, i32 from, i32 to, i32 depth_panels) {
  if (from > 0 || to < panels * PANEL)
    for (i32 j = 0; j < panels * PANEL; j++)
      if (j < from || j >= to) row[j / PANEL * stride + j % PANEL] = -infinity();
  vf high = splat(-infinity());
  for (i32 p = 0; p < panels; p++)
    for (i32 i = 0; i < PANEL; i += LANES) high = larger(high, load(row + p * stride + i));
  float now = max_lanes(high), max = now > w.most[r] ? now : w.most[r];
  vf sum = {0}, shift = splat(max > -infinity() ? max : 0);
  for (i32 p = 0; p < panels; p++)
    for (i32 i = 0; i < PANEL; i += LANES) {
      vf e = exp_v(load(row + p * stride + i) - shift);
      store(row + p * stride + i, e);
      sum += e;
    }
  float keep = w.most[r] == -infinity() ? 0 : exp_1(w.most[r] - max);
  w.total[r] = w.total[r] * keep + sum_lanes(sum);
  w.most[r] = max;
  if (keep != 1)
    for (i32 p = 0; p < depth_panels; p++)
      for (i32 i = 0; i < PANEL; i += LANES) {
        float *s = w.sums + ((size)p * rows + r) * PANEL + i;
        store(s, load(s) * keep);
      }
}

static void block_of_queries(const attention_args *a, head h, block_arrays w, i32 r0, i32 rows) {
  i32 D = a->D, tiles = tiles_of(rows), depth_panels = panels_of(D);
  for (i32 t = 0; t < tiles; t++) {
    i32 row = tile_start(rows, t), count = tile_start(rows, t + 1) - row;
    float *to = w.packed_q + (size)row * D;
    for (i32 r = 0; r < count; r++) {
      const float *q = F32(a->q) + query_at(a, h, r0 + row + r);
      for (i32 d = 0; d < D; d++) to[d * count + r] = q[d] * a->scale;
    }
  }
  for (i32 r = 0; r < rows; r++) w.most[r] = -infinity(), w.total[r] = 0;
  for (i32 i = 0; i < depth_panels * rows * PANEL; i += LANES) store(w.sums + i, (vf){});

  i32 first = first_visible(a, position_of(a, h, r0)), stop = position_of(a, h, r0 + rows - 1) + 1;
  for (i32 j0 = first; j0 < stop; j0 += BLOCK_KEYS) {
    i32 count = min_i(BLOCK_KEYS, stop - j0), panels = panels_of(count);
    pack_keys_and_values(a, h, w, j0, count);
    for (i32 p = 0; p < panels; p++)
      for (i32 t = 0; t < tiles; t++) {
        i32 row = tile_start(rows, t);
        tile(tile_start(rows, t + 1) - row, w.scores + ((size)p * rows + row) * PANEL, w.packed_q + (size)row * D, w.key_panels + (size)p * PANEL * D, D, 1);
      }
    for (i32 t = 0; t < tiles; t++) {
      i32 row = tile_start(rows, t), in_tile = tile_start(rows, t + 1) - row;
      for (i32 r = row; r < row + in_tile; r++) {
        i32 position = position_of(a, h, r0 + r), from = max_i(0, first_visible(a, position) - j0), to = min_i(count, position + 1 - j0);
        soften_row(w, r, rows, w.scores + r * PANEL, rows * PANEL, panels, from, to, depth_panels);
      }
      float *packed = w.packed_p + (size)row * BLOCK_KEYS;
      for (i32 p = 0; p < panels; p++)
        turn(packed + p * PANEL * in_tile, in_tile, w.scores + ((size)p * rows + row) * PANEL, PANEL, in_tile, PANEL);
      for (i32 p = 0; p < depth_panels; p++)
        tile(in_tile, w.sums + ((size)p * rows + row) * PANEL, packed, w.value_panels + (size)p * PANEL * count, count, 0);
    }
  }
  for (i32 r = 0; r < rows; r++) {
    float *out = F32(a->out) + query_at(a, h, r0 + r), inverse = 1.0f / w.total[r];
    for (i32 p = 0; p < depth_panels; p++) {
      const float *s = w.sums + ((size)p * rows + r) * PANEL;
      i32 width = min_i(PANEL, D - p * PANEL);
      if (width == PANEL)
        for (i32 i = 0; i < PANEL; i += LANES) store(out + p * PANEL + i, load(s + i) * inverse);
      else
        for (i32 i = 0; i < width; i++) out[p * PANEL + i] = s[i] * inverse;
    }
  }
}

/* Parts are (sequence, key head, block of queries); later blocks see more keys, so there should be many more parts than threads. */
KERNEL(attention_block) {
  const attention_args *a = words;
  i32 queries = a->T * (a->H / a->KV), blocks = (queries + a->block_rows - 1) / a->block_rows, items = a->B * a->KV * blocks;
  i32 rows = min_i(a->block_rows, queries), D = a->D, padded = panels_of(D) * PANEL;
  float arrays[(size)rows * D + 2 * BLOCK_KEYS * (size)padded + 2 * (size)rows * BLOCK_KEYS + (size)rows * padded + 2 * (size)rows] __attribute__((aligned(64)));
  block_arrays w;
  w.key_panels = arrays;
  w.value_panels = w.key_panels + (size)BLOCK_KEYS * padded;
  w.scores = w.value_panels + (size)BLOCK_KEYS * padded;
  w.packed_p = w.scores + (size)rows * BLOCK_KEYS;
  w.sums = w.packed_p + (size)rows * BLOCK_KEYS;
  w.packed_q = w.sums + (size)rows * padded;
  w.most = w.packed_q + (size)rows * D;
  w.total = w.most + rows;

  i32 end = part(items, chunk + 1, chunks);
  for (i32 item = part(items, chunk, chunks); item < end; item++) {
    i32 block = blocks - 1 - item % blocks; /* the longest first */
    block_of_queries(a, head_of(a, item / blocks), w, block * a->block_rows, min_i(a->block_rows, queries - block * a->block_rows));
  }
}

/* out (B, H, T, S) = q.k * scale, -inf where hidden. Parts are (sequence, head, query). */
KERNEL(attention_scores) {
  const attention_args *a = words;
  i32 rows = a->B * a->H * a->T, end = part(rows, chunk + 1, chunks), D = a->D;
  for (i32 row = part(rows, chunk, chunks); row < end; row++) {
    i32 t = row % a->T, query_head = row / a->T % a->H, b = row / a->T / a->H;
    head h = head_of(a, b * a->KV + query_head / (a->H / a->KV));
    i32 position = h.past + t, from = min_i(a->S, first_visible(a, position)), to = min_i(a->S, position + 1), j = 0;
    const float *q = F32(a->q) + (((size)b * a->T + t) * a->H + query_head) * D;
    float *out = F32(a->out) + (size)row * a->S;
    for (; j < from; j++) out[j] = -infinity();
    for (; j + 4 <= to; j += 4) dot_4(out + j, q, h.keys + (size)j * D, D);
    for (; j < to; j++) out[j] = dot(q, h.keys + (size)j * D, D);
    for (j = from; j < to; j++) out[j] *= a->scale;
    for (; j < a->S; j++) out[j] = -infinity();
  }
}

/* out (B, T, H, D) = pattern (B, H, T, S) times values; q holds the pattern. Positions the cache does not hold yet count nothing. */
KERNEL(attention_mix) {
  const attention_args *a = words;
  i32 rows = a->B * a->H * a->T, end = part(rows, chunk + 1, chunks);
  for (i32 row = part(rows, chunk, chunks); row < end; row++) {
    i32 t = row % a->T, query_head = row / a->T % a->H, b = row / a->T / a->H;
    head h = head_of(a, b * a->KV + query_head / (a->H / a->KV));
    float *out = F32(a->out) + (((size)b * a->T + t) * a->H + query_head) * a->D;
    mix(out, 0, F32(a->q) + (size)row * a->S, h.values, min_i(a->S, h.past + a->T), a->D);
  }
}
