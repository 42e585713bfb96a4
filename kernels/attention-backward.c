/*
 * The backward pass of causal attention for sequences that begin at 0: from the queries, keys, values and results of the forward pass
 * and the gradient of the results to those of queries, keys and values. Nothing of softmax was kept; a block of queries computes its
 * scores again, all keys at once, so it needs no running maximum. Memory is linear in T.
 *
 * One item of work is a key head of one sequence with all its queries, one block of them after the other: each sum has one order.
 */
#include "attention.h"

typedef struct {
  attention_args of; /* `out`: what the forward pass gave */
  u32 dq, dk, dv, dy, scratch;
  i32 scratch_floats; /* of each chunk */
} attention_backward_args;

#define BACKWARD_KEYS 64

/* Work arrays, for blocks of `stride` queries; `width` is D filled up to whole vectors. */
typedef struct {
  i32 width;
  float *dk, *dv;              /* (T, width) */
  float *p, *ds;               /* turned: (T, stride) exp(score - most), (BACKWARD_KEYS, stride) gradients of scores */
  float *q, *dy;               /* (stride, width): queries * scale; dy / total */
  float *q_turned, *dy_turned; /* (D, stride) */
  float *dq_turned;            /* (D, stride) */
  float *inverse, *mean;       /* (stride): 1 / total; the sum of p dp, which is dy.y */
  i32 *positions;
} backward_arrays;

/* Takes `count` numbers from the scratch memory. */
INLINE float *take(float **scratch, size count) {
  float *taken = *scratch;
  *scratch += (count + PANEL - 1) / PANEL * PANEL;
  return taken;
}

/* src/device/cpu/attention.ts knows how much it takes at most. */
INLINE backward_arrays arrays_in(float *scratch, const attention_args *a, i32 stride) {
  size T = a->T, D = a->D, width = round_up(a->D, LANES);
  return (backward_arrays){
      .width = width,
      .dk = take(&scratch, T * width),
      .dv = take(&scratch, T * width),
      .p = take(&scratch, T * stride),
      .ds = take(&scratch, BACKWARD_KEYS * stride),
      .q = take(&scratch, stride * width),
      .dy = take(&scratch, stride * width),
      .q_turned = take(&scratch, D * stride),
      .dy_turned = take(&scratch, D * stride),
      .dq_turned = take(&scratch, D * stride),
      .inverse = take(&scratch, stride),
      .mean = take(&scratch, stride),
      .positions = (i32 *)take(&scratch, stride),
  };
}

INLINE void take_and_turn(const query_block *q, float *to, float *turned, i32 width, u32 x, float factor, const float *factors) {
  take_queries(q, to, width, F32(x), factor, factors);
  clear_numbers(turned, (size)q->a->D * q->stride);
  turn_all(turned, q->stride, to, width, q->rows, q->a->D);
}

/* The gradients that keys j .. j + count give and get. p is theirs. */
static void backward_keys(const query_block *q, backward_arrays w, const float *p, i32 j, i32 count) {
  i32 stride = q->stride, strip = strip_of(q, j, count);
  size width = w.width;
  /* dP = dY V^T */
  multiply_by_queries(q, w.ds, q->h.values, w.dy_turned, j, count);
  for (i32 i = 0; i < count; i += strip) {
    i32 keys = min_i(strip, count - i);
    span seen = queries_of_any(q, j + i, keys);
    i32 from = seen.from / LANES * LANES, to = round_up(seen.to, LANES);
    /* dS = P (dP - mean) */
    for (i32 k = i; k < i + keys; k++) {
      float *ds = w.ds + (size)k * stride;
      for (i32 c = 0; c < from; c += LANES) store(ds + c, (vf){});
      for (i32 c = from; c < to; c += LANES) store(ds + c, load(p + (size)k * stride + c) * (load(ds + c) - load(w.mean + c)));
      for (i32 c = to; c < q->columns; c += LANES) store(ds + c, (vf){});
    }
    /* dV += P^T dY, dK += dS^T Q */
    size here = (size)i * stride + seen.from, key = (size)(j + i) * width, query = seen.from * width;
    multiply_plain(&(plain){w.dv + key, width, p + here, stride, 1, w.dy + query, width, seen.to - seen.from, 0}, keys, width);
    multiply_plain(&(plain){w.dk + key, width, w.ds + here, stride, 1, w.q + query, width, seen.to - seen.from, 0}, keys, width);
  }
  /* dQ += dS K */
  add_to_queries(q, w.dq_turned, q->h.keys, w.ds, j, count);
}

static void backward_queries(const attention_backward_args *b, const query_block *q, backward_arrays w) {
  const attention_args *a = q->a;
  i32 D = a->D, stride = q->stride;
  find_positions(q);
  span all = keys_of_any(q, 0, q->rows);
  i32 count = all.to - all.from;

  /* pass 1: scores, and exp of them shifted by their maximum */
  take_and_turn(q, w.q, w.q_turned, w.width, a->q, a->scale, 0);
  for (i32 i = 0; i < count; i += BACKWARD_KEYS)
    multiply_by_queries(q, w.p + (size)i * stride, q->h.keys, w.q_turned, all.from + i, min_i(BACKWARD_KEYS, count - i));
  for (i32 c = 0; c < q->columns; c += LANES) {
    vf most = hide_and_find_most(q, w.p, c, all.from, count, splat(-infinity()));
    store(w.inverse + c, splat(1) / exponentials(q, w.p, c, all.from, count, most));
  }

  /* pass 2: the division by their sum is left to dY */
  take_and_turn(q, w.dy, w.dy_turned, w.width, b->dy, 1, w.inverse);
  clear_numbers(w.mean, stride);
  for (i32 r = 0; r < q->rows; r++) w.mean[r] = dot(w.dy + (size)r * w.width, F32(a->out) + query_at(a, q->h, q->r0 + r), D);

  /* pass 3: the gradients */
  clear_numbers(w.dq_turned, (size)D * stride);
  for (i32 i = 0; i < count; i += BACKWARD_KEYS) backward_keys(q, w, w.p + (size)i * stride, all.from + i, min_i(BACKWARD_KEYS, count - i));

  turn_all(w.q, w.width, w.dq_turned, stride, D, q->rows);
  for (i32 r = 0; r < q->rows; r++) {
    float *dq = F32(b->dq) + query_at(a, q->h, q->r0 + r);
    MAP(dq, w.q + (size)r * w.width, D, x * a->scale);
  }
}

/* from (T, width) -> this head's rows of out (B, T, KV, D). */
INLINE void give_keys(const attention_args *a, head h, u32 out, const float *from, i32 width) {
  float *to = F32(out) + ((size)h.b * a->T * a->KV + h.kv) * a->D;
  for (i32 t = 0; t < a->T; t++, to += (size)a->KV * a->D, from += width) MAP(to, from, a->D, x);
}

/* Parts are (sequence, key head). */
KERNEL(attention_backward) {
  const attention_backward_args *b = words;
  const attention_args *a = &b->of;
  i32 queries = a->T * (a->H / a->KV), heads = a->B * a->KV, end = part(heads, chunk + 1, chunks);
  i32 stride = round_up(min_i(a->block_rows, queries), LANES);
  backward_arrays w = arrays_in(F32(b->scratch) + (size)chunk * b->scratch_floats, a, stride);

  for (i32 index = part(heads, chunk, chunks); index < end; index++) {
    head h = head_of(a, index);
    clear_numbers(w.dk, (size)a->T * w.width);
    clear_numbers(w.dv, (size)a->T * w.width);
    for (i32 r0 = 0; r0 < queries; r0 += a->block_rows) {
      i32 rows = min_i(a->block_rows, queries - r0);
      backward_queries(b, &(query_block){a, h, r0, rows, round_up(rows, LANES), stride, w.positions}, w);
    }
    give_keys(a, h, b->dk, w.dk, w.width);
    give_keys(a, h, b->dv, w.dv, w.width);
  }
}
