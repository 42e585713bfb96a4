/*
 * Kernels that boil each row down before writing it: norms, softmax, cross-entropy, the largest few; and the backward of norms
 * and cross-entropy. A row is never shared; sums over rows are by columns, which are not shared either.
 */
#include "functions.h"

/* Sum of a row on four chains. */
INLINE float row_sum(const float *x, i32 width) {
  vf s[4] = {0};
  i32 i = 0;
  for (; i + 4 * LANES <= width; i += 4 * LANES)
    EACH(j, 4) s[j] += load(x + i + j * LANES);
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
    EACH(j, 4) {
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
  EACH(j, 4) m[j] = splat(-infinity());
  i32 i = 0;
  for (; i + 4 * LANES <= width; i += 4 * LANES)
    EACH(j, 4) m[j] = larger(m[j], load(x + i + j * LANES));
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
  i32 rows, width, stride; /* x has rows of `stride` numbers */
} sum_rows_args;

/* Sums down columns walk the rows, several at once, so that memory is read as it lies and the sums stay in the first cache. */
#define ROWS_TOGETHER 8

INLINE void add_rows(float *out, const float *x, i32 rows, i32 stride, i32 from, i32 to) {
  EACH_VECTOR(i, n, from, to, {
    vf sum = load_part(x + i, n);
    _Pragma("GCC unroll 8") for (i32 r = 1; r < rows; r++) sum += load_part(x + (size)r * stride + i, n);
    store_part(out + i, load_part(out + i, n) + sum, n);
  });
}

/* out += the sum of x over its rows. Parts are ranges of columns. */
KERNEL(sum_rows) {
  const sum_rows_args *a = words;
  i32 width = a->width, from = part_of(width, 16, chunk, chunks), to = part_of(width, 16, chunk + 1, chunks), r = 0;
  const float *x = F32(a->x);
  for (; r + ROWS_TOGETHER <= a->rows; r += ROWS_TOGETHER) add_rows(F32(a->out), x + (size)r * a->stride, ROWS_TOGETHER, a->stride, from, to);
  for (; r < a->rows; r++) add_rows(F32(a->out), x + (size)r * a->stride, 1, a->stride, from, to);
}

/* Rows whose share of dweight and dbias is summed by itself first: the same blocks whatever the number of threads. */
#define NORM_BLOCK 32

typedef struct {
  u32 dx, dy, x, weight;
  u32 shares; /* 0, or room for (blocks, 2, width): of dweight, of dbias */
  i32 rows, width;
  float epsilon;
  i32 centred; /* layerNorm; otherwise rmsNorm, which is the same with a mean of 0 */
} norm_backward_args;

/*
 * With n = (x - mean) s, s = 1 / sqrt(variance + epsilon), and g = dy weight:
 * dx = s (g - mean of g - n (mean of g n)), dweight is the sum over rows of dy n, dbias that of dy. dx may be dy. Parts are blocks.
 */
KERNEL(norm_backward) {
  const norm_backward_args *a = words;
  i32 width = a->width, blocks = (a->rows + NORM_BLOCK - 1) / NORM_BLOCK;
  i32 first = part(blocks, chunk, chunks) * NORM_BLOCK, end = min_i(a->rows, part(blocks, chunk + 1, chunks) * NORM_BLOCK);
  const float *weight = F32(a->weight);
  float *of_weight = 0, *of_bias = 0;
  for (i32 row = first; row < end; row++) {
    const float *x = F32(a->x) + (size)row * width, *dy = F32(a->dy) + (size)row * width;
    float *dx = F32(a->dx) + (size)row * width;
    if (a->shares && row % NORM_BLOCK == 0) {
      of_weight = F32(a->shares) + (size)(row / NORM_BLOCK) * 2 * width;
      of_bias = of_weight + width;
      __builtin_memset(of_weight, 0, (size)width * 8);
    }

    /* pass 1: the row as the forward pass normalised it, before the weight */
    float mean = a->centred ? row_sum(x, width) / width : 0;
    float inverse = 1.0f / __builtin_sqrtf(row_squares(x, width, mean) / width + a->epsilon);
    vf m = splat(mean), s = splat(inverse);

    /* pass 2: the part of its gradient that the mean takes, and the part that the variance takes */
    vf sum = {0}, sum_n = {0};
    EACH_VECTOR(i, n, 0, width, {
      vf g = load_part(dy + i, n) * load_part(weight + i, n); /* 0 beyond the end */
      sum += g;
      sum_n = madd(g, (load_part(x + i, n) - m) * s, sum_n);
    });
    vf of_mean = splat(a->centred ? sum_lanes(sum) / width : 0), of_variance = splat(sum_lanes(sum_n) / width);

    /* pass 3: dx, and the row's part of the block's sums */
    EACH_VECTOR(i, n, 0, width, {
      vf d = load_part(dy + i, n), normal = (load_part(x + i, n) - m) * s;
      store_part(dx + i, s * (d * load_part(weight + i, n) - of_mean - normal * of_variance), n);
      if (of_weight) {
        store_part(of_weight + i, madd(d, normal, load_part(of_weight + i, n)), n);
        store_part(of_bias + i, load_part(of_bias + i, n) + d, n);
      }
    });
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

/* A target of -1: no loss. */
KERNEL(cross_entropy) {
  const cross_entropy_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    const float *x = F32(a->logits) + (size)r * width;
    i32 target = I32(a->targets)[r];
    float max = target < 0 ? 0 : row_max(x, width);
    F32(a->out)[r] = target < 0 ? 0 : log_1(row_exp(0, x, width, max)) + (max - x[target]);
  }
}

typedef struct {
  u32 dlogits, dlosses, logits, targets;
  i32 rows, width;
} cross_entropy_backward_args;

/* (softmax - one at the target) dloss; dlogits may be logits. */
KERNEL(cross_entropy_backward) {
  const cross_entropy_backward_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->dlogits) + (size)r * width;
    const float *x = F32(a->logits) + (size)r * width;
    i32 target = I32(a->targets)[r];
    if (target < 0) {
      __builtin_memset(out, 0, (size)width * 4);
      continue;
    }
    float sum = row_exp(out, x, width, row_max(x, width)), dloss = F32(a->dlosses)[r], factor = dloss / sum;
    MAP(out, out, width, x * factor);
    out[target] -= dloss;
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
