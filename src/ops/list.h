/* The list of built-in ops: it stands once and makes the registry. OP(name) wants `const wg_op wgi_op_name`. One block a
 * family; internal ops (gradient kernels) stand in it too. */
/* make */
/* elementwise */
/* reduce */
/* shape */
/* index */
/* product */
/* network */
