/* Copies of device memory of any strides: of one dtype as bytes, else converted. */
#ifndef WGI_CUDA_COPY_H
#define WGI_CUDA_COPY_H
#include "cuda/pass.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Operand 0 = operand 1, elements of `bytes` bytes (1, 2, 4, 8) moved as they are. */
void wgi_launch_move(const wgi_pass *p, int bytes, void *stream);
/* Operand 0 = the element whose bits are the low `bytes` bytes of `bits`. */
void wgi_launch_fill(const wgi_pass *p, int bytes, uint64_t bits, void *stream);
#ifdef __cplusplus
}
#endif
#endif
