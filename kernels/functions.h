/*
 * exp and what is made of it, a vector at a time; scalar log and square root. Relative error of exp about 1e-7.
 */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H
#include "vitrine.h"

/*
 * Constants live in memory on purpose: V8 builds a vector constant anew from immediates at each use, which halves exp;
 * loads are free. Not `const`, or the compiler would fold them back into immediates.
 */
extern float exp_constants[];
#define EXP_LOG2E exp_constants[0]
#define EXP_ROUND exp_constants[1]
#define EXP_LN2_HIGH exp_constants[2]
#define EXP_LN2_LOW exp_constants[3]
#define EXP_P(i) exp_constants[4 + (i)]
#define EXP_ONE exp_constants[10]
#define EXP_MOST exp_constants[11]
#define EXP_LEAST exp_constants[12]

/*
 * exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; polynomial of Cephes' expf (Moshier).
 * n is read from the low bits of x log2(e) + 1.5 * 2^23, which spares a conversion. Below -87 the answer is exactly 0
 * (so is exp(-inf)); above 88 it stays at exp(88).
 */
INLINE vf exp_v(vf x) {
  vf clamped = at_most(at_least(x, splat(EXP_LEAST)), splat(EXP_MOST));
  vf shifted = madd(clamped, splat(EXP_LOG2E), splat(EXP_ROUND));
  vf n = shifted - splat(EXP_ROUND);
  vf r = madd(n, splat(EXP_LN2_HIGH), clamped);
  r = madd(n, splat(EXP_LN2_LOW), r);
  vf p = madd(splat(EXP_P(0)), r, splat(EXP_P(1)));
  p = madd(p, r, splat(EXP_P(2)));
  p = madd(p, r, splat(EXP_P(3)));
  p = madd(p, r, splat(EXP_P(4)));
  p = madd(p, r, splat(EXP_P(5)));
  p = madd(p, r * r, r + splat(EXP_ONE));
  vf scaled = (vf)((vi)p + ((vi)shifted << 23));
  return (vf)((vi)scaled & ~(vi)(x < splat(EXP_LEAST)));
}

INLINE float exp_1(float x) { return exp_v(splat(x))[0]; }

/* Natural logarithm of a positive, finite x: series of atanh in double. */
INLINE float log_1(float x) {
  union { float f; i32 i; } bits = {x};
  i32 exponent = (bits.i - 0x3f3504f3) >> 23; /* mantissa in [sqrt(1/2), sqrt(2)) */
  bits.i -= exponent << 23;
  double s = ((double)bits.f - 1.0) / ((double)bits.f + 1.0), s2 = s * s;
  double series = 1.0 + s2 * (1.0 / 3 + s2 * (1.0 / 5 + s2 * (1.0 / 7 + s2 * (1.0 / 9 + s2 * (1.0 / 11)))));
  return (float)(2.0 * s * series + exponent * 0.69314718055994531);
}

/* Numbers of the Activation names in src/device/cpu/products.ts. */
enum { ACTIVATION_NONE, ACTIVATION_GELU, ACTIVATION_GELU_NEW, ACTIVATION_SILU, ACTIVATION_RELU };

extern float gelu_constants[];
#define GELU_C(i) gelu_constants[i]

/* x / (1 + exp(-x)) */
INLINE vf silu_v(vf x) { return x / (splat(EXP_ONE) + exp_v(-x)); }

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
INLINE vf gelu_new_v(vf x) {
  vf cubic = madd(x * x, splat(GELU_C(0)), splat(GELU_C(1)));
  return x / (splat(EXP_ONE) + exp_v(x * cubic));
}

/*
 * x Phi(x) with Phi(-z) = erfc(z / sqrt 2) / 2 from Abramowitz and Stegun 7.1.26 (error of erf at most 1.5e-7);
 * the tail is computed for -|x|, so nothing cancels.
 */
INLINE vf gelu_v(vf x) {
  vf z = absolute(x);
  vf t = splat(EXP_ONE) / madd(z, splat(GELU_C(2)), splat(EXP_ONE));
  vf poly = madd(splat(GELU_C(7)), t, splat(GELU_C(6)));
  poly = madd(poly, t, splat(GELU_C(5)));
  poly = madd(poly, t, splat(GELU_C(4)));
  poly = madd(poly, t, splat(GELU_C(3)));
  vf tail = poly * t * exp_v(z * z * splat(GELU_C(8))); /* erfc / 2 */
  vf phi = choose((vi)(x < (vf){}), tail, splat(EXP_ONE) - tail);
  return x * phi;
}

INLINE vf relu_v(vf x) { return at_least(x, (vf){}); }

/*
 * An activation f(x) = x gate(x) and its slope f'(x). Far out slopes are 0 or 1; x is held where they are so in fp32, or
 * infinities would meet zeros. 1 - s of a sigmoid s = 1 / (1 + e) is e s: nothing cancels.
 */
typedef struct {
  vf value, slope;
} curve;

extern float slope_constants[];
#define SLOPE_C(i) slope_constants[i]
INLINE vf held(vf x, float most, float least) { return at_most(at_least(x, splat(least)), splat(most)); }

/* s + x s (1 - s) */
INLINE curve silu_curve(vf x) {
  vf near = held(x, SLOPE_C(0), SLOPE_C(1)), e = exp_v(-near), s = splat(EXP_ONE) / (splat(EXP_ONE) + e);
  return (curve){x * s, madd(near * s, e * s, s)};
}

/* s = 1 / (1 + exp(-2u)): s + x s (1 - s) 2u', u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2) */
INLINE curve gelu_new_curve(vf x) {
  vf near = held(x, SLOPE_C(2), SLOPE_C(3)), square = near * near;
  vf e = exp_v(near * madd(square, splat(GELU_C(0)), splat(GELU_C(1)))), s = splat(EXP_ONE) / (splat(EXP_ONE) + e);
  vf minus_2u = madd(square, splat(SLOPE_C(4)), splat(GELU_C(1)));
  return (curve){x * s, s - near * s * (e * s) * minus_2u};
}

/* Phi(x) + x phi(x); Phi as in gelu_v */
INLINE curve gelu_curve(vf x) {
  vf near = held(x, SLOPE_C(2), SLOPE_C(3)), z = absolute(near);
  vf t = splat(EXP_ONE) / madd(z, splat(GELU_C(2)), splat(EXP_ONE));
  vf poly = madd(splat(GELU_C(7)), t, splat(GELU_C(6)));
  poly = madd(poly, t, splat(GELU_C(5)));
  poly = madd(poly, t, splat(GELU_C(4)));
  poly = madd(poly, t, splat(GELU_C(3)));
  vf e = exp_v(z * z * splat(GELU_C(8))), tail = poly * t * e;
  vf phi = choose((vi)(x < (vf){}), tail, splat(EXP_ONE) - tail);
  return (curve){x * phi, madd(near * e, splat(SLOPE_C(5)), phi)};
}

INLINE curve relu_curve(vf x) { return (curve){relu_v(x), choose((vi)(x > (vf){}), splat(EXP_ONE), (vf){})}; }

/* Does `loop(curve function)` for an activation that must be one. */
#define WITH_CURVE(activation, loop)                        \
  switch (activation) {                                     \
    case ACTIVATION_GELU: loop(gelu_curve); break;          \
    case ACTIVATION_GELU_NEW: loop(gelu_new_curve); break;  \
    case ACTIVATION_SILU: loop(silu_curve); break;          \
    default: loop(relu_curve); break;                       \
  }

/* A loop over `length` numbers, the tail through a small buffer; `expression` sees the vector `x`. in may be out. */
#define MAP(out, in, length, expression)                                                                                                             \
  do {                                                                                                                                               \
    i32 at_ = 0;                                                                                                                                     \
    for (; at_ + LANES <= (length); at_ += LANES) {                                                                                                  \
      vf x = load((in) + at_);                                                                                                                       \
      store((out) + at_, (expression));                                                                                                              \
    }                                                                                                                                                \
    if (at_ < (length)) {                                                                                                                            \
      float rest_[LANES] = {0};                                                                                                                      \
      for (i32 i_ = at_; i_ < (length); i_++) rest_[i_ - at_] = (in)[i_];                                                                            \
      vf x = load(rest_);                                                                                                                            \
      store(rest_, (expression));                                                                                                                    \
      for (i32 i_ = at_; i_ < (length); i_++) (out)[i_] = rest_[i_ - at_];                                                                           \
    }                                                                                                                                                \
  } while (0)

/* out = activation(x), in place allowed. */
__attribute__((noinline)) void activate_run(float *out, const float *in, i32 length, i32 activation);

#endif
