/*
 * What attention and its backward pass share: the arguments, which query sees which keys, and one block of scores.
 *
 * A block of scores lies turned, (keys, queries): the columns are queries. So keys, values and scores are all multiplied as they
 * lie (tile-plain.h), and softmax works on vectors of queries, never within one.
 */
#ifndef ATTENTION_H
#define ATTENTION_H
#include "functions.h"
#include "shuffle.h"
#include "tile-plain.h"

typedef struct {
  u32 out, q, keys, values, past;
  i32 B, T, H, KV, D, capacity, window;
  float scale;
  i32 S;          /* scores and mix: columns of the pattern */
  i32 block_rows; /* most queries of one block, a multiple of LANES */
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

INLINE i32 round_up(i32 n, i32 unit) { return (n + unit - 1) / unit * unit; }

INLINE float dot(const float *x, const float *y, i32 length) {
  vf s[2] = {0};
  i32 i = 0;
  for (; i + 2 * LANES <= length; i += 2 * LANES)
    EACH(j, 2) s[j] = madd(load(x + i + j * LANES), load(y + i + j * LANES), s[j]);
  for (; i + LANES <= length; i += LANES) s[0] = madd(load(x + i), load(y + i), s[0]);
  float sum = sum_lanes(s[0] + s[1]);
  for (; i < length; i++) sum += x[i] * y[i];
  return sum;
}

/*
 * A block of queries, r0 .. r0 + rows of one head. Their scores lie (keys, columns), rows `stride` numbers apart; columns are the queries,
 * filled up to whole vectors. `positions` has room for the columns.
 */
typedef struct {
  const attention_args *a;
  head h;
  i32 r0, rows, columns, stride;
  i32 *positions;
} query_block;

INLINE void find_positions(const query_block *q) {
  i32 group = q->a->H / q->a->KV, position = position_of(q->a, q->h, q->r0), g = q->r0 % group;
  for (i32 r = 0; r < q->columns; r++) {
    q->positions[r] = position;
    if (++g == group) g = 0, position++;
  }
}

typedef struct {
  i32 from, to;
} span;

INLINE span within(span s, i32 from, i32 to) {
  s.from = min_i(max_i(s.from, from), to);
  s.to = min_i(max_i(s.to, s.from), to);
  return s;
}

/* The keys that any of the queries from .. to sees, and those that all of them see. */
INLINE span keys_of_any(const query_block *q, i32 from, i32 to) {
  return (span){first_visible(q->a, position_of(q->a, q->h, q->r0 + from)), position_of(q->a, q->h, q->r0 + min_i(to, q->rows) - 1) + 1};
}
INLINE span keys_of_all(const query_block *q, i32 from, i32 to) {
  return (span){first_visible(q->a, position_of(q->a, q->h, q->r0 + min_i(to, q->rows) - 1)), position_of(q->a, q->h, q->r0 + from) + 1};
}

/* The queries that may see any of the keys j .. j + count. */
INLINE span queries_of_any(const query_block *q, i32 j, i32 count) {
  i32 group = q->a->H / q->a->KV, before = q->h.past * group + q->r0;
  i32 to = q->a->window > 0 ? (j + count - 1 + q->a->window) * group - before : q->rows;
  return within((span){j * group - before, to}, 0, q->rows);
}

/* A block of keys that some query does not see whole is cut into strips of so many, so that little is computed in vain. */
#define STRIP_KEYS 16
INLINE i32 strip_of(const query_block *q, i32 j, i32 count) {
  span all = keys_of_all(q, 0, q->rows);
  return all.from <= j && j + count <= all.to ? count : min_i(count, STRIP_KEYS);
}

/* out (keys, columns) = keys or values j .. j + count times `turned` (D, columns), at least where a query sees a key. */
INLINE void multiply_by_queries(const query_block *q, float *out, const float *x, const float *turned, i32 j, i32 count) {
  i32 D = q->a->D, strip = strip_of(q, j, count);
  for (i32 i = 0; i < count; i += strip) {
    i32 keys = min_i(strip, count - i);
    span seen = queries_of_any(q, j + i, keys);
    i32 from = seen.from / LANES * LANES;
    multiply_plain(&(plain){out + (size)i * q->stride + from, q->stride, x + (size)(j + i) * D, D, 1, turned + from, q->stride, D, 1}, keys,
                   round_up(seen.to, LANES) - from);
  }
}

/* One vector of queries at column c: hidden scores among keys j .. j + count become -inf; the largest of them and of `high`. */
INLINE vf hide_and_find_most(const query_block *q, float *scores, i32 c, i32 j, i32 count, vf high) {
  span any = within(keys_of_any(q, c, c + LANES), j, j + count), all = within(keys_of_all(q, c, c + LANES), any.from, any.to);
  vi position = *(const vi *)(q->positions + c), window = (vi){} + q->a->window;
  size stride = q->stride;
  vf most[4] = {high, high, high, high}; /* so that comparisons do not wait for each other */
  scores += c;
  for (i32 k = any.from; k < any.to;) {
    float *at = scores + (k - j) * stride;
    if (k >= all.from && k + 4 <= all.to) {
      EACH(i, 4) most[i] = larger(most[i], load(at + i * stride));
      k += 4;
    } else {
      vi key = (vi){} + k, seen = key <= position;
      if (q->a->window > 0) seen &= position - key < window;
      vf s = choose(seen, load(at), splat(-infinity()));
      store(at, s);
      most[0] = larger(most[0], s);
      k++;
    }
  }
  return larger(larger(most[0], most[1]), larger(most[2], most[3]));
}

/* Their scores become exp(score - shift), 0 where hidden; gives the sums. */
INLINE vf exponentials(const query_block *q, float *scores, i32 c, i32 j, i32 count, vf shift) {
  span any = within(keys_of_any(q, c, c + LANES), j, j + count);
  vf sum = {0};
  scores += c;
  for (i32 k = j; k < any.from; k++) store(scores + (size)(k - j) * q->stride, sum);
  for (i32 k = any.to; k < j + count; k++) store(scores + (size)(k - j) * q->stride, sum);
  for (i32 k = any.from; k < any.to; k++) {
    float *at = scores + (size)(k - j) * q->stride;
    vf e = exp_v(load(at) - shift);
    store(at, e);
    sum += e;
  }
  return sum;
}

/* out (D, columns) += keys or values j .. j + count, turned, times x (keys, columns), as far as x is not 0 because hidden. */
INLINE void add_to_queries(const query_block *q, float *out, const float *keys, const float *x, i32 j, i32 count) {
  i32 D = q->a->D, unit = PLAIN_VECTORS * LANES;
  for (i32 c = 0; c < q->columns; c += unit) {
    span any = within(keys_of_any(q, c, c + unit), j, j + count);
    const float *from = x + (size)(any.from - j) * q->stride + c;
    multiply_plain(&(plain){out + c, q->stride, keys + (size)any.from * D, 1, D, from, q->stride, any.to - any.from, 0}, D, min_i(unit, q->columns - c));
  }
}

/* to (rows, to_row) = x (queries, D) of the block, times `factor` and, where they are given, each query's own; numbers beyond D become 0. */
INLINE void take_queries(const query_block *q, float *to, i32 to_row, const float *x, float factor, const float *factors) {
  i32 D = q->a->D;
  for (i32 r = 0; r < q->rows; r++, to += to_row) {
    const float *from = x + query_at(q->a, q->h, q->r0 + r);
    float each = factors ? factors[r] * factor : factor;
    MAP(to, from, D, x * each);
    for (i32 d = D; d < to_row; d++) to[d] = 0;
  }
}

/* from (rows, depth) -> to (depth, rows). */
INLINE void turn_all(float *to, i32 to_row, const float *from, i32 from_row, i32 rows, i32 depth) {
  for (i32 r = 0; r < rows; r += PANEL) turn(to + r, to_row, from + (size)r * from_row, from_row, min_i(PANEL, rows - r), depth);
}

INLINE void clear_numbers(float *p, size count) {
  size i = 0;
  for (; i + LANES <= count; i += LANES) store(p + i, (vf){});
  for (; i < count; i++) p[i] = 0;
}

#endif
