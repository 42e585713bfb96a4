/* The step of the optimiser: AdamW, and the sum of squares by which gradients are clipped. Both are bound by memory: one pass. */
#include "functions.h"

typedef struct {
  u32 weights, gradient, m, v;
  i32 length;
  float kept;             /* 1 - learningRate * weightDecay */
  float scale;            /* of the gradient */
  float beta1, fresh1;    /* fresh = 1 - beta */
  float beta2, fresh2;
  float rate, correction; /* learningRate / (1 - beta1^step), 1 / sqrt(1 - beta2^step) */
  float epsilon;
} adam_args;

/* Padding of panels, where all four are 0, stays 0: epsilon is above 0. */
KERNEL(adam_w) {
  const adam_args *a = words;
  i32 from = part_of(a->length, 16, chunk, chunks), count = part_of(a->length, 16, chunk + 1, chunks) - from;
  float *weights = F32(a->weights) + from, *m = F32(a->m) + from, *v = F32(a->v) + from;
  const float *gradient = F32(a->gradient) + from;
  vf kept = splat(a->kept), scale = splat(a->scale), beta1 = splat(a->beta1), fresh1 = splat(a->fresh1);
  vf beta2 = splat(a->beta2), fresh2 = splat(a->fresh2), rate = splat(a->rate), correction = splat(a->correction), epsilon = splat(a->epsilon);
  EACH_VECTOR(i, n, 0, count, {
    vf g = load_part(gradient + i, n) * scale;
    vf m_i = madd(load_part(m + i, n), beta1, g * fresh1);
    vf v_i = madd(load_part(v + i, n), beta2, g * fresh2 * g);
    vf step = rate * m_i / madd(square_root(v_i), correction, epsilon);
    store_part(m + i, m_i, n);
    store_part(v + i, v_i, n);
    store_part(weights + i, load_part(weights + i, n) * kept - step, n);
  });
}

/* Numbers whose squares are summed by themselves first: the same blocks whatever the number of threads. */
#define SQUARES_BLOCK 4096

typedef struct {
  u32 sums, x; /* a double for each block */
  i32 length;
} square_sums_args;

/* Parts are blocks. */
KERNEL(square_sums) {
  const square_sums_args *a = words;
  i32 blocks = (a->length + SQUARES_BLOCK - 1) / SQUARES_BLOCK, end = part(blocks, chunk + 1, chunks);
  for (i32 b = part(blocks, chunk, chunks); b < end; b++)
    ((double *)HEAP(a->sums))[b] = row_squares(F32(a->x) + (size)b * SQUARES_BLOCK, min_i(SQUARES_BLOCK, a->length - b * SQUARES_BLOCK), 0);
}

typedef struct {
  u32 out, sums;
  i32 count;
} add_sums_args;

/* One part. */
KERNEL(add_sums) {
  const add_sums_args *a = words;
  (void)chunks;
  double total = 0;
  if (chunk > 0) return;
  for (i32 i = 0; i < a->count; i++) total += ((const double *)HEAP(a->sums))[i];
  *F32(a->out) = (float)total;
}
