/* Kernels that boil each row down before writing it: norms, softmax, cross-entropy, the largest few. A row is never shared. */
#include "functions.h"

/* Sum of a row on four chains. */
INLINE float row_sum(const float *x, i32 width) {
  vf s[4] = {0};
  i32 i = 0;
  for (; i + 4 * LANES <= width; i += 4 * LANES)
    for (i32 j = 0; j < 4; j++) s[j] += load(x + i + j * LANES);
  for (; i + LANES <= width; i += LANES) s[0] += load(x + i);
  float sum = sum_lanes((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < width; i++) sum += x[i];
  return sum;
}

/* Sum of (x - shift)^2. */
INLINE float row_squares(const float *x, i32 width, float shift) {
  vf s[4] = {0}, c = splat(shift);
  i32 i = 0;
  for (; i + 4 * LANES <= width; i += 4 * LANES)
    for (i32 j = 0; j < 4; j++) {
      vf d = load(x + i + j * LANES) - c;
      s[j] = madd(d, d, s[j]);
    }
  for (; i + LANES <= width; i += LANES) {
    vf d = load(x + i) - c;
    s[0] = madd(d, d, s[0]);
  }
  float sum = sum_lanes((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < width; i++) sum += (x[i] - shift) * (x[i] - shift);
  return sum;
}

INLINE float row_max(const float *x, i32 width) {
  vf m[4];
  for (i32 j = 0; j < 4; j++) m[j] = splat(-infinity());
  i32 i = 0;
  for (; i + 4 * LANES <= width; i += 4 * LANES)
    for (i32 j = 0; j < 4; j++) m[j] = larger(m[j], load(x + i + j * LANES));
  for (; i + LANES <= width; i += LANES) m[0] = larger(m[0], load(x + i));
  float max = max_lanes(larger(larger(m[0], m[1]), larger(m[2], m[3])));
  for (; i < width; i++) max = x[i] > max ? x[i] : max;
  return max;
}

/* Sum of exp(x - max), written to `out` unless that is null; -inf counts 0 even when max is -inf. */
INLINE float row_exp(float *out, const float *x, i32 width, float max) {
  vf s[2] = {0}, m = splat(max > -infinity() ? max : 0);
  i32 i = 0;
  for (; i + 2 * LANES <= width; i += 2 * LANES) {
    vf p = exp_v(load(x + i) - m), q = exp_v(load(x + i + LANES) - m);
    s[0] += p;
    s[1] += q;
    if (out) {
      store(out + i, p);
      store(out + i + LANES, q);
    }
  }
  float sum = sum_lanes(s[0] + s[1]);
  for (; i < width; i++) {
    float p = exp_1(x[i] - m[0]);
    sum += p;
    if (out) out[i] = p;
  }
  return sum;
}

typedef struct {
  u32 out, x, weight, bias; /* bias 0: none */
  i32 rows, width;
  float epsilon;
} norm_args;

/* Mean first, then variance about it: stable whatever the mean. */
KERNEL(layer_norm) {
  const norm_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  const float *weight = F32(a->weight), *bias = a->bias ? F32(a->bias) : 0;
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->out) + (size)r * width;
    const float *x = F32(a->x) + (size)r * width;
    float mean = row_sum(x, width) / width;
    float inverse = 1.0f / __builtin_sqrtf(row_squares(x, width, mean) / width + a->epsilon);
    vf m = splat(mean), s = splat(inverse);
    i32 i = 0;
    for (; i + LANES <= width; i += LANES) {
      vf y = (load(x + i) - m) * s;
      store(out + i, bias ? madd(y, load(weight + i), load(bias + i)) : y * load(weight + i));
    }
    for (; i < width; i++) out[i] = (x[i] - mean) * inverse * weight[i] + (bias ? bias[i] : 0);
  }
}

KERNEL(rms_norm) {
  const norm_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  const float *weight = F32(a->weight);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->out) + (size)r * width;
    const float *x = F32(a->x) + (size)r * width;
    float inverse = 1.0f / __builtin_sqrtf(row_squares(x, width, 0) / width + a->epsilon);
    vf s = splat(inverse);
    i32 i = 0;
    for (; i + LANES <= width; i += LANES) store(out + i, load(x + i) * s * load(weight + i));
    for (; i < width; i++) out[i] = x[i] * inverse * weight[i];
  }
}

typedef struct {
  u32 out, x;
  i32 rows, width;
} softmax_args;

KERNEL(softmax) {
  const softmax_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->out) + (size)r * width;
    const float *x = F32(a->x) + (size)r * width;
    float scale = 1.0f / row_exp(out, x, width, row_max(x, width));
    i32 i = 0;
    for (; i + LANES <= width; i += LANES) store(out + i, load(out + i) * scale);
    for (; i < width; i++) out[i] *= scale;
  }
}

typedef struct {
  u32 out, logits, targets;
  i32 rows, width;
} cross_entropy_args;

KERNEL(cross_entropy) {
  const cross_entropy_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    const float *x = F32(a->logits) + (size)r * width;
    float max = row_max(x, width);
    F32(a->out)[r] = log_1(row_exp(0, x, width, max)) + (max - x[I32(a->targets)[r]]);
  }
}

typedef struct {
  u32 ids, values, log_sum_exp, x;
  i32 rows, width, count;
} top_args;

/* Is entry i of a row worse than entry j: smaller, or as large and later? */
INLINE i32 worse(float value, i32 id, float other, i32 other_id) { return value < other || (value == other && id > other_id); }

/* Lets (value, id) sink from `at` into a heap whose root is its worst entry. */
INLINE void sink(float *values, i32 *ids, i32 count, i32 at, float value, i32 id) {
  for (;;) {
    i32 child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && worse(values[child + 1], ids[child + 1], values[child], ids[child])) child++;
    if (!worse(values[child], ids[child], value, id)) break;
    values[at] = values[child];
    ids[at] = ids[child];
    at = child;
  }
  values[at] = value;
  ids[at] = id;
}

/*
 * The largest `count` of each row by a heap of the best so far. Most blocks of 4 vectors hold nothing above its worst
 * entry and are passed over with one comparison; the same sweep finds nothing else to do, so log-sum-exp takes a second.
 */
KERNEL(top) {
  const top_args *a = words;
  i32 width = a->width, count = a->count, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    const float *x = F32(a->x) + (size)r * width;
    float *values = F32(a->values) + (size)r * count;
    i32 *ids = I32(a->ids) + (size)r * count;
    for (i32 i = 0; i < count; i++) {
      values[i] = x[i];
      ids[i] = i;
    }
    for (i32 i = count / 2 - 1; i >= 0; i--) sink(values, ids, count, i, values[i], ids[i]);
    for (i32 i = count; count > 0 && i < width;) {
      i32 stop = i + 1;
      if (i + 4 * LANES <= width) {
        stop = i + 4 * LANES;
        vf high = larger(larger(load(x + i), load(x + i + LANES)), larger(load(x + i + 2 * LANES), load(x + i + 3 * LANES)));
        if (!any((vi)(high > splat(values[0])))) {
          i = stop;
          continue;
        }
      }
      for (; i < stop; i++)
        if (x[i] > values[0]) sink(values, ids, count, 0, x[i], i);
    }
    for (i32 n = count - 1; n > 0; n--) { /* heap sort: the worst goes to the end */
      float value = values[n];
      i32 id = ids[n];
      values[n] = values[0];
      ids[n] = ids[0];
      sink(values, ids, n, 0, value, id);
    }
    float max = count > 0 ? values[0] : row_max(x, width);
    F32(a->log_sum_exp)[r] = max == -infinity() ? max : max + log_1(row_exp(0, x, width, max));
  }
}
