/*
 * Kernels that look at each number, or each row, by itself: copies, sums, activations, rotary positions, cache appends, dropout;
 * the backward of each beside its forward.
 */
#include "functions.h"

float exp_constants[] = {
    1.44269504088896341f, 12582912.0f,      -0.693359375f,    2.12194440e-4f,    /* log2 e, 1.5 * 2^23, -ln 2 in two parts */
    1.9875691500e-4f,     1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f,  /* polynomial, highest power first */
    1.6666665459e-1f,     5.0000001201e-1f, 1.0f,             88.0f,            -87.0f,
};
float gelu_constants[] = {
    -0.071354816272f, -1.59576912161f,  0.2316419160f,    0.127414796f, /* -2 sqrt(2/pi) {0.044715, 1}; p / sqrt 2; a1 / 2 ... a5 / 2; -1/2 */
    -0.142248368f,    0.7107068705f,    -0.7265760135f,   0.5307027145f, -0.5f,
};
float slope_constants[] = {
    88.0f, -88.0f, 20.0f, -20.0f, /* where silu's slope, and that of both gelus, is 1 and 0 */
    -0.214064448816f, 0.398942280401f, /* -2 sqrt(2/pi) * 3 * 0.044715; 1 / sqrt(2 pi) */
};

void activate_run(float *out, const float *in, i32 length, i32 activation) {
  switch (activation) {
    case ACTIVATION_GELU: MAP(out, in, length, gelu_v(x)); break;
    case ACTIVATION_GELU_NEW: MAP(out, in, length, gelu_new_v(x)); break;
    case ACTIVATION_SILU: MAP(out, in, length, silu_v(x)); break;
    case ACTIVATION_RELU: MAP(out, in, length, relu_v(x)); break;
    default: MAP(out, in, length, x); break;
  }
}

/* Parts of flat runs end on whole cache lines, so two threads never write one line. */
#define RUN(length) i32 from = part_of(length, 16, chunk, chunks), count = part_of(length, 16, chunk + 1, chunks) - from

typedef struct {
  u32 out;
  i32 length;
  u32 bits; /* of the fp32 or i32 value */
} fill_args;

KERNEL(fill) {
  const fill_args *a = words;
  RUN(a->length);
  u32 *out = (u32 *)I32(a->out) + from;
  if (a->bits == 0) __builtin_memset(out, 0, (size)count * 4);
  else
    for (i32 i = 0; i < count; i++) out[i] = a->bits;
}

typedef struct {
  u32 out, x;
  i32 length;
} copy_args;

KERNEL(copy) {
  const copy_args *a = words;
  RUN(a->length);
  __builtin_memmove(F32(a->out) + from, F32(a->x) + from, (size)count * 4);
}

typedef struct {
  u32 out, x, y;
  i32 length;
} add_args;

KERNEL(add) {
  const add_args *a = words;
  RUN(a->length);
  float *out = F32(a->out) + from;
  const float *in = F32(a->x) + from, *y = F32(a->y) + from;
  i32 i = 0;
  for (; i + LANES <= count; i += LANES) store(out + i, load(in + i) + load(y + i));
  for (; i < count; i++) out[i] = in[i] + y[i];
}

typedef struct {
  u32 out, x;
  i32 length, activation;
} activate_args;

KERNEL(activate) {
  const activate_args *a = words;
  RUN(a->length);
  activate_run(F32(a->out) + from, F32(a->x) + from, count, a->activation);
}

typedef struct {
  u32 dx, dy, x;
  i32 length, activation;
} activate_backward_args;

/* dx = dy f'(x) */
KERNEL(activate_backward) {
  const activate_backward_args *a = words;
  RUN(a->length);
  float *dx = F32(a->dx) + from;
  const float *dy = F32(a->dy) + from, *x = F32(a->x) + from;
#define ACTIVATE_BACKWARD(f) EACH_VECTOR(i, n, 0, count, store_part(dx + i, load_part(dy + i, n) * f(load_part(x + i, n)).slope, n);)
  WITH_CURVE(a->activation, ACTIVATE_BACKWARD)
}

typedef struct {
  u32 out, x;
  i32 activation, rows, width;
} gate_args;

/* out (rows, width) = activation(x[:, :width]) * x[:, width:] */
KERNEL(gate) {
  const gate_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->out) + (size)r * width;
    const float *gate = F32(a->x) + (size)r * 2 * width, *up = gate + width;
    activate_run(out, gate, width, a->activation);
    i32 i = 0;
    for (; i + LANES <= width; i += LANES) store(out + i, load(out + i) * load(up + i));
    for (; i < width; i++) out[i] *= up[i];
  }
}

typedef struct {
  u32 dx, dy, x;
  i32 activation, rows, width;
} gate_backward_args;

/* dx (rows, 2 width), which may be x: dy up f'(gate), then dy f(gate). */
KERNEL(gate_backward) {
  const gate_backward_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *dx = F32(a->dx) + (size)r * 2 * width;
    const float *dy = F32(a->dy) + (size)r * width, *gate = F32(a->x) + (size)r * 2 * width, *up = gate + width;
#define GATE_BACKWARD(f)                                             \
  EACH_VECTOR(i, n, 0, width, {                                      \
    curve of_gate = f(load_part(gate + i, n));                       \
    vf d = load_part(dy + i, n), of_up = load_part(up + i, n) * d;   \
    store_part(dx + i, of_up * of_gate.slope, n);                    \
    store_part(dx + width + i, d * of_gate.value, n);                \
  })
    WITH_CURVE(a->activation, GATE_BACKWARD)
  }
}

typedef struct {
  u32 out, x;
  i32 rows, x_width, from, width;
} columns_args;

KERNEL(columns) {
  const columns_args *a = words;
  i32 end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++)
    __builtin_memcpy(F32(a->out) + (size)r * a->width, F32(a->x) + (size)r * a->x_width + a->from, (size)a->width * 4);
}

typedef struct {
  u32 out, x;
  i32 rows, out_width, from, width, accumulate;
} place_args;

/* The reverse of `columns`. */
KERNEL(place_columns) {
  const place_args *a = words;
  i32 width = a->width, end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++) {
    float *out = F32(a->out) + (size)r * a->out_width + a->from;
    const float *x = F32(a->x) + (size)r * width;
    if (a->accumulate)
      EACH_VECTOR(i, n, 0, width, store_part(out + i, load_part(out + i, n) + load_part(x + i, n), n););
    else
      __builtin_memcpy(out, x, (size)width * 4);
  }
}

typedef struct {
  u32 out, x, indices;
  i32 rows, width;
} gather_args;

KERNEL(gather_rows) {
  const gather_args *a = words;
  i32 end = part(a->rows, chunk + 1, chunks);
  for (i32 r = part(a->rows, chunk, chunks); r < end; r++)
    __builtin_memcpy(F32(a->out) + (size)r * a->width, F32(a->x) + (size)I32(a->indices)[r] * a->width, (size)a->width * 4);
}

typedef struct {
  u32 out, x, tables, past;
  i32 B, T, heads, D, rotary;
} rope_args;

/*
 * Turns the pairs (i, i + rotary / 2) of each head by the angle of its position; tables (positions, rotary): cosines, then sines.
 * `way` is 1, or -1 for backward: gradients turn back.
 */
INLINE void rotate(const rope_args *a, i32 chunk, i32 chunks, float way) {
  i32 D = a->D, half = a->rotary / 2, rows = a->B * a->T, end = part(rows, chunk + 1, chunks);
  for (i32 row = part(rows, chunk, chunks); row < end; row++) {
    i32 position = I32(a->past)[row / a->T] + row % a->T;
    const float *cosine = F32(a->tables) + (size)position * a->rotary, *sine = cosine + half;
    for (i32 h = 0; h < a->heads; h++) {
      float *out = F32(a->out) + ((size)row * a->heads + h) * D;
      const float *x = F32(a->x) + ((size)row * a->heads + h) * D;
      i32 i = 0;
      for (; i + LANES <= half; i += LANES) {
        vf low = load(x + i), high = load(x + half + i), c = load(cosine + i), s = load(sine + i) * way;
        store(out + i, low * c - high * s);
        store(out + half + i, high * c + low * s);
      }
      for (; i < half; i++) {
        float low = x[i], high = x[half + i];
        out[i] = low * cosine[i] - high * (sine[i] * way);
        out[half + i] = high * cosine[i] + low * (sine[i] * way);
      }
      if (out != x)
        for (i = 2 * half; i < D; i++) out[i] = x[i];
    }
  }
}

KERNEL(rope) { rotate(words, chunk, chunks, 1); }
KERNEL(rope_backward) { rotate(words, chunk, chunks, -1); }

typedef struct {
  u32 cache, x, past;
  i32 B, T, heads, D, capacity;
} append_args;

/* cache (B, heads, capacity, D) at positions past[b] + t = x (B, T, heads, D) */
KERNEL(append) {
  const append_args *a = words;
  i32 D = a->D, rows = a->B * a->T, end = part(rows, chunk + 1, chunks);
  for (i32 row = part(rows, chunk, chunks); row < end; row++) {
    i32 b = row / a->T, position = I32(a->past)[b] + row % a->T;
    for (i32 h = 0; h < a->heads; h++)
      __builtin_memcpy(F32(a->cache) + (((size)b * a->heads + h) * a->capacity + position) * D, F32(a->x) + ((size)row * a->heads + h) * D, (size)D * 4);
  }
}

typedef struct {
  u32 out, x;
  i32 length;
  float factor;
} scale_args;

KERNEL(scale) {
  const scale_args *a = words;
  RUN(a->length);
  MAP(F32(a->out) + from, F32(a->x) + from, count, x * a->factor);
}

typedef struct {
  u32 out, x;
  i32 length;
  u32 seed, dropped_below;
  float factor;
} dropout_args;

/* The finaliser of MurmurHash3 (Appleby 2011). */
#define MIX32(h) (h ^= h >> 16, h *= 0x85ebca6bu, h ^= h >> 13, h *= 0xc2b2ae35u, h ^= h >> 16)
#define GOLDEN 0x9e3779b9u

/* Number i is kept, times factor, when mix32(seed + i * GOLDEN) >= dropped_below. */
KERNEL(dropout) {
  const dropout_args *a = words;
  RUN(a->length);
  float *out = F32(a->out) + from;
  const float *x = F32(a->x) + from;
  vu place;
  for (i32 i = 0; i < LANES; i++) place[i] = a->seed + (u32)(from + i) * GOLDEN;
  EACH_VECTOR(i, n, 0, count, {
    vu h = place;
    MIX32(h);
    store_part(out + i, choose((vi)(h >= a->dropped_below), load_part(x + i, n) * a->factor, (vf){}), n);
    place += GOLDEN * LANES;
  });
}

typedef struct {
  u32 out, dout, x, y; /* dout is for the backward */
  i32 length;
} squared_error_args;

KERNEL(squared_error) {
  const squared_error_args *a = words;
  RUN(a->length);
  float *out = F32(a->out) + from;
  const float *x = F32(a->x) + from, *y = F32(a->y) + from;
  EACH_VECTOR(i, n, 0, count, {
    vf d = load_part(x + i, n) - load_part(y + i, n);
    store_part(out + i, d * d, n);
  });
}

/* out = 2 (x - y) dout */
KERNEL(squared_error_backward) {
  const squared_error_args *a = words;
  RUN(a->length);
  float *out = F32(a->out) + from;
  const float *x = F32(a->x) + from, *y = F32(a->y) + from, *dout = F32(a->dout) + from;
  EACH_VECTOR(i, n, 0, count, {
    vf d = load_part(x + i, n) - load_part(y + i, n);
    store_part(out + i, (d + d) * load_part(dout + i, n), n);
  });
}
