/*
 * Causal attention over the key/value caches. `attention_block` serves prompts: blocks of queries against blocks of keys, with the
 * running maximum and sum of Milakov and Gimelshein (2018), so memory does not grow with S. `attention_row` serves decoding: a few
 * queries against all keys, each key and value read once. `attention_scores` and `attention_mix` are the same in two steps, for
 * listeners. attention-backward.c is the way back.
 */
#include "attention.h"

/* q times four keys `apart` numbers apart. Whole vectors first; what is left of narrow heads four numbers at a time. */
INLINE v4 dot_4(const float *q, const float *key, size apart, i32 D) {
  v4 t[4] = {0};
  i32 d = 0;
  if (D >= LANES) {
    vf s[4] = {0};
    for (; d + LANES <= D; d += LANES) {
      vf x = load(q + d);
      EACH(j, 4) s[j] = madd(x, load(key + j * apart + d), s[j]);
    }
    EACH(j, 4) t[j] = sum_by_four(s[j]);
  }
  for (; d + 4 <= D; d += 4) {
    v4 x = load4(q + d);
    EACH(j, 4) t[j] = madd4(x, load4(key + j * apart + d), t[j]);
  }
  transpose4(&t[0], &t[1], &t[2], &t[3]);
  v4 sums = (t[0] + t[1]) + (t[2] + t[3]);
  for (; d < D; d++) EACH(j, 4) sums[j] += q[d] * key[j * apart + d];
  return sums;
}

/*
 * Decoding only reads, and one run of memory keeps a core waiting: it fetches ahead along each place that is read, so keys and values
 * are read from four places at once, a quarter of them apart. 18 GB/s instead of 12, and asking for lines beforehand only slows
 * it down (docs/log.md).
 */
INLINE void dots(float *p, const float *q, const float *keys, i32 count, i32 D) {
  i32 quarter = count / 4;
  size apart = (size)quarter * D;
  for (i32 j = 0; j < quarter; j++) {
    v4 s = D == LANES ? dot_4(q, keys + j * LANES, apart, LANES) /* narrow heads: a known width spares it its loop */
                      : dot_4(q, keys + (size)j * D, apart, D);
    EACH(i, 4) p[j + i * quarter] = s[i];
  }
  for (i32 j = 4 * quarter; j < count; j++) p[j] = dot(q, keys + (size)j * D, D);
}

/*
 * out (D) = out * keep + sum over j of p[j] values[j]; `keep` 0 starts afresh whatever out holds. V vectors of out at a time, in one
 * chain of sums for each of them or one for each quarter, so that additions do not wait for each other.
 */
#define MIX(type, V, chains, load, store, madd)                                                                             \
  for (const i32 lanes = sizeof(type) / 4; d + V * lanes <= D; d += V * lanes) {                                            \
    type s[chains][V] = {0};                                                                                                \
    const float *v = values + d;                                                                                            \
    i32 j = 0;                                                                                                              \
    for (; j < quarter; j++, v += D)                                                                                        \
      EACH(c, 4) EACH(i, V) s[c % chains][i] = madd(p[j + c * quarter] - (type){}, load(v + c * apart + i * lanes), s[c % chains][i]); \
    for (j *= 4, v = values + (size)j * D + d; j < count; j++, v += D)                                                     \
      EACH(i, V) s[0][i] = madd(p[j] - (type){}, load(v + i * lanes), s[0][i]);                                             \
    EACH(i, V) {                                                                                                            \
      float *to = out + d + i * lanes;                                                                                      \
      EACH(c, chains - 1) s[0][i] += s[c + 1][i];                                                                           \
      store(to, keep == 0 ? s[0][i] : madd(load(to), keep - (type){}, s[0][i]));                                            \
    }                                                                                                                       \
  }
INLINE void mix(float *out, float keep, const float *p, const float *values, i32 count, i32 D) {
  i32 d = 0, quarter = count / 4;
  size apart = (size)quarter * D;
  MIX(vf, 8, 1, load, store, madd)
  MIX(vf, 4, 1, load, store, madd)
  MIX(vf, 1, 4, load, store, madd)
  MIX(v4, 2, 4, load4, store4, madd4)
  MIX(v4, 1, 4, load4, store4, madd4)
  for (; d < D; d++) {
    float s = keep == 0 ? 0 : out[d] * keep;
    for (i32 j = 0; j < count; j++) s += p[j] * values[(size)j * D + d];
    out[d] = s;
  }
}

/* Keys of a block: many for one query, whose places are then worth running along; for several, so few numbers that they stay in a cache. */
#define ROW_KEYS 1024
#define SHARED_ROW_NUMBERS 8192

/* T * H / KV small. Parts are (sequence, key head) pairs. */
KERNEL(attention_row) {
  const attention_args *a = words;
  i32 D = a->D, queries = a->T * (a->H / a->KV), heads = a->B * a->KV, end = part(heads, chunk + 1, chunks);
  float p[ROW_KEYS] __attribute__((aligned(64)));
  float most[queries], total[queries];
  i32 span = queries == 1 ? ROW_KEYS : min_i(ROW_KEYS, max_i(16, SHARED_ROW_NUMBERS / D));

  for (i32 index = part(heads, chunk, chunks); index < end; index++) {
    head h = head_of(a, index);
    for (i32 r = 0; r < queries; r++) most[r] = -infinity(), total[r] = 0;
    i32 stop = h.past + a->T;
    for (i32 j0 = first_visible(a, h.past); j0 < stop; j0 += span) {
      for (i32 r = 0; r < queries; r++) {
        i32 position = position_of(a, h, r), begin = max_i(j0, first_visible(a, position)), count = min_i(j0 + span, position + 1) - begin;
        if (count <= 0) continue;
        dots(p, F32(a->q) + query_at(a, h, r), h.keys + (size)begin * D, count, D);

        i32 padded = round_up(count, LANES), j = count;
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

/* Work arrays for blocks of `stride` queries: turned and sums (D, stride), scores (BLOCK_KEYS, stride), most and total (stride). */
typedef struct {
  float *turned, *sums, *scores, *most, *total;
} block_arrays;

/* One block of keys: scores, their softmax so far, and what it mixes of the values. */
static void block_of_keys(const query_block *q, block_arrays w, i32 j, i32 count) {
  i32 D = q->a->D;
  multiply_by_queries(q, w.scores, q->h.keys, w.turned, j, count);
  for (i32 c = 0; c < q->columns; c += LANES) {
    vf before = load(w.most + c), most = hide_and_find_most(q, w.scores, c, j, count, before);
    vf shift = choose((vi)(most > splat(-infinity())), most, (vf){}), keep = exp_v(before - shift);
    vf sum = exponentials(q, w.scores, c, j, count, shift);
    store(w.total + c, madd(load(w.total + c), keep, sum));
    store(w.most + c, most);
    for (i32 d = 0; d < D; d++) store(w.sums + d * q->stride + c, load(w.sums + d * q->stride + c) * keep);
  }
  add_to_queries(q, w.sums, q->h.values, w.scores, j, count);
}

/* Blocks of keys begin at multiples of BLOCK_KEYS, so a query's numbers do not depend on the others of its block. */
static void block_of_queries(const query_block *q, block_arrays w) {
  const attention_args *a = q->a;
  i32 D = a->D, stride = q->stride;
  find_positions(q);
  take_queries(q, w.sums, D, F32(a->q), a->scale, 0);
  clear_numbers(w.turned, (size)D * stride);
  turn_all(w.turned, stride, w.sums, D, q->rows, D);
  clear_numbers(w.sums, (size)D * stride);
  for (i32 c = 0; c < q->columns; c += LANES) store(w.most + c, splat(-infinity())), store(w.total + c, (vf){});

  span all = keys_of_any(q, 0, q->rows);
  for (i32 j = all.from, next; j < all.to; j = next) {
    next = min_i(all.to, (j / BLOCK_KEYS + 1) * BLOCK_KEYS);
    block_of_keys(q, w, j, next - j);
  }

  turn_all(w.turned, D, w.sums, stride, D, q->rows);
  for (i32 r = 0; r < q->rows; r++) {
    float *out = F32(a->out) + query_at(a, q->h, q->r0 + r), inverse = 1.0f / w.total[r];
    MAP(out, w.turned + (size)r * D, D, x * inverse);
  }
}

/* Parts are (sequence, key head, block of queries); later blocks see more keys, so there should be many more parts than threads. */
KERNEL(attention_block) {
  const attention_args *a = words;
  i32 queries = a->T * (a->H / a->KV), blocks = (queries + a->block_rows - 1) / a->block_rows, items = a->B * a->KV * blocks;
  i32 D = a->D, stride = round_up(min_i(a->block_rows, queries), LANES);
  float arrays[(2 * D + BLOCK_KEYS + 2) * stride] __attribute__((aligned(64)));
  i32 positions[stride] __attribute__((aligned(64)));
  block_arrays w;
  w.turned = arrays;
  w.sums = w.turned + D * stride;
  w.scores = w.sums + D * stride;
  w.most = w.scores + BLOCK_KEYS * stride;
  w.total = w.most + stride;

  i32 end = part(items, chunk + 1, chunks);
  for (i32 item = part(items, chunk, chunks); item < end; item++) {
    i32 r0 = (blocks - 1 - item % blocks) * a->block_rows, rows = min_i(a->block_rows, queries - r0); /* the longest first */
    block_of_queries(&(query_block){a, head_of(a, item / blocks), r0, rows, round_up(rows, LANES), stride, positions}, w);
  }
}

/* out (B, H, T, S) = q.k * scale, -inf where hidden. Parts are (sequence, head, query). */
KERNEL(attention_scores) {
  const attention_args *a = words;
  i32 rows = a->B * a->H * a->T, end = part(rows, chunk + 1, chunks), D = a->D;
  for (i32 row = part(rows, chunk, chunks); row < end; row++) {
    i32 t = row % a->T, query_head = row / a->T % a->H, b = row / a->T / a->H;
    head h = head_of(a, b * a->KV + query_head / (a->H / a->KV));
    i32 position = h.past + t, from = min_i(a->S, first_visible(a, position)), to = min_i(a->S, position + 1), j;
    const float *q = F32(a->q) + (((size)b * a->T + t) * a->H + query_head) * D;
    float *out = F32(a->out) + (size)row * a->S;
    for (j = 0; j < from; j++) out[j] = -infinity();
    dots(out + from, q, h.keys + (size)from * D, to - from, D);
    for (; j < to; j++) out[j] *= a->scale;
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
