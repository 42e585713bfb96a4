/* All kernels, once. Their numbers are their order here; TypeScript asks `kernel_names` for them at load. */

/* Counts changes of what arguments mean; src/device/cpu/core.ts knows the same number. */
#define KERNELS_VERSION 1

#define KERNELS(K)                                                                                                                                   \
  K(fill)                                                                                                                                            \
  K(copy)                                                                                                                                            \
  K(embed)                                                                                                                                           \
  K(gather_rows)                                                                                                                                     \
  K(add)                                                                                                                                             \
  K(layer_norm)                                                                                                                                      \
  K(rms_norm)                                                                                                                                        \
  K(pack_rows)                                                                                                                                       \
  K(pack_columns)                                                                                                                                    \
  K(pack_outputs_first)                                                                                                                              \
  K(pack_inputs_first)                                                                                                                               \
  K(unpack)                                                                                                                                          \
  K(gemm)                                                                                                                                            \
  K(pack_small)                                                                                                                                      \
  K(unpack_small)                                                                                                                                    \
  K(quantise_rows)                                                                                                                                   \
  K(gemm_half)                                                                                                                                       \
  K(gemm_int8)                                                                                                                                       \
  K(gemm_int4)                                                                                                                                       \
  K(activate)                                                                                                                                        \
  K(gate)                                                                                                                                            \
  K(columns)                                                                                                                                         \
  K(rope)                                                                                                                                            \
  K(append)                                                                                                                                          \
  K(attention_block)                                                                                                                                 \
  K(attention_row)                                                                                                                                   \
  K(attention_scores)                                                                                                                                \
  K(attention_mix)                                                                                                                                   \
  K(softmax)                                                                                                                                         \
  K(cross_entropy)                                                                                                                                   \
  K(top)
