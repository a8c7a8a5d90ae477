/* The list of built-in ops: it stands once and makes the registry. OP(name) wants `const wg_op wgi_op_name`. One block a
 * family; internal ops (gradient kernels) stand in it too. */
/* make */
/* elementwise */
/* reduce */
OP(sum)
OP(sum_to)
/* shape */
OP(alias)
OP(cat)
OP(chunk)
OP(contiguous)
OP(expand)
OP(narrow)
OP(permute)
OP(reshape)
OP(select)
OP(slice)
OP(split)
OP(squeeze)
OP(transpose)
OP(unslice)
OP(unsqueeze)
OP(view)
/* index */
/* product */
OP(linear)
OP(matmul)
/* network */
OP(log_softmax)
OP(softmax)
OP(softmax_backward)
