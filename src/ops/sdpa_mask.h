/* Which numbers of attention's floating mask hide a key. Plain, for C and CUDA. */
#ifndef WGI_OPS_SDPA_MASK_H
#define WGI_OPS_SDPA_MASK_H

/* What is less hides as -inf does: -1e9 and the lowest finite number of a dtype (f16's is -65504) are meant so. A row that is hidden
 * throughout then has no gradient. Were it the softmax of its scores, backward would need the log of their sum to be better than f32
 * has it at such numbers: exp(score - lse) would be 1 for each of n keys, not 1 / n. */
#define WGI_MASK_HIDES (-3e4)
#endif
