/* All kernels, once. Their numbers are their order here; TypeScript asks `kernel_names` for them at load. */

/* Counts changes of what arguments mean; src/device/cpu/core.ts knows the same number. */
#define KERNELS_VERSION 2

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
  K(top)                                                                                                                                             \
  K(turn_panels)                                                                                                                                     \
  K(embed_backward)                                                                                                                                  \
  K(sum_rows)                                                                                                                                        \
  K(norm_backward)                                                                                                                                   \
  K(activate_backward)                                                                                                                               \
  K(gate_backward)                                                                                                                                   \
  K(place_columns)                                                                                                                                   \
  K(rope_backward)                                                                                                                                   \
  K(cross_entropy_backward)                                                                                                                          \
  K(scale)                                                                                                                                           \
  K(dropout)                                                                                                                                         \
  K(squared_error)                                                                                                                                   \
  K(squared_error_backward)                                                                                                                          \
  K(square_sums)                                                                                                                                     \
  K(add_sums)                                                                                                                                        \
  K(adam_w)                                                                                                                                          \
  K(attention_backward)
