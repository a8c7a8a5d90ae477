/* Copies within a device: one call of the driver where both sides are contiguous, else a kernel. */
#include "cuda/copy.h"

#include <stdlib.h>

#include "cuda/cuda.h"
#include "cuda/elementwise.h"
#include "cuda/operands.h"

/* Axes by falling stride of the destination, so that its neighbours are the threads'. */
static void sort_axes(wgi_pass *p)
{
    for (int i = 1; i < p->ndim; i++)
        for (int at = i; at > 0 && llabs((long long)p->o[0].stride[at - 1]) <
                                       llabs((long long)p->o[0].stride[at]);
             at--) {
            const int64_t size = p->size[at];
            p->size[at] = p->size[at - 1];
            p->size[at - 1] = size;
            for (int k = 0; k < p->n; k++) {
                const int64_t stride = p->o[k].stride[at];
                p->o[k].stride[at] = p->o[k].stride[at - 1];
                p->o[k].stride[at - 1] = stride;
            }
        }
}

wg_status wgi_cuda_copy_pass(wgi_pass *p, void *stream)
{
    const wgi_operand *to = &p->o[0], *from = &p->o[1];
    if (p->numel == 0) return WG_OK;
    sort_axes(p);
    wgi_pass_coalesce(p);
    if (to->type == from->type) {
        const size_t bytes = wgi_dtype_bytes[to->type];
        if (p->ndim == 1 && (p->size[0] == 1 || (to->stride[0] == 1 && from->stride[0] == 1)))
            return wgi_cuda_check(cudaMemcpyAsync(to->data, from->data, (size_t)p->numel * bytes,
                                                  cudaMemcpyDeviceToDevice, stream),
                                  "copy within the device");
        wgi_launch_move(p, (int)bytes, stream);
    } else {
        wgi_elementwise_launch l;
        memset(&l, 0, sizeof l);
        l.pass = *p;
        l.code = WGI_GPU_COPY;
        l.compute = (int)wgi_compute_dtype((wg_dtype)from->type);
        wgi_launch_elementwise(&l, stream);
    }
    return wgi_cuda_check(cudaGetLastError(), "copy within the device");
}

wg_status wgi_cuda_copy_strided(const wg_run *r, void *dst, wg_dtype dst_type,
                                const int64_t *dst_strides, const void *src, wg_dtype src_type,
                                const int64_t *src_strides, int ndim, const int64_t *shape)
{
    wgi_pass p;
    wgi_pass_of_two(&p, ndim, shape, dst, (int)dst_type, dst_strides, src, (int)src_type,
                    src_strides);
    return wgi_cuda_copy_pass(&p, r->stream);
}

wg_status wgi_cuda_fill_strided(const wg_run *r, void *dst, wg_dtype type, const int64_t *strides,
                                int ndim, const int64_t *shape, double value)
{
    wgi_pass p;
    uint64_t bits = 0;
    wgi_pass_of_two(&p, ndim, shape, dst, (int)type, strides, dst, (int)type, strides);
    if (p.numel == 0) return WG_OK;
    wgi_store(&bits, type, value);
    wgi_launch_fill(&p, (int)wgi_dtype_bytes[type], bits, r->stream);
    return WG_OK;
}

/* src's shape is dst's; strides of 0 repeat. */
wg_status wgi_cuda_copy_elements(wg_tensor *dst, const wg_tensor *src)
{
    wgi_cuda_device *d = wgi_cuda_of(dst);
    if (!d) return wg_error_code();
    wgi_pass p;
    if (wgi_in_blocks(dst->dtype) || wgi_in_blocks(src->dtype))
        return wgi_cuda_copy_blocks(dst, src, wgi_cuda_stream(d));
    wgi_pass_of_two(&p, dst->ndim, dst->shape, wgi_data(dst), dst->dtype, dst->strides,
                    wgi_data(src), src->dtype, src->strides);
    return wgi_cuda_copy_pass(&p, wgi_cuda_stream(d));
}

wg_status wgi_cuda_add_strided(const wg_run *r, void *dst, wg_dtype dst_type,
                               const int64_t *dst_strides, const void *src, wg_dtype src_type,
                               const int64_t *src_strides, int ndim, const int64_t *shape, bool add)
{
    if (!add)
        return wgi_cuda_copy_strided(r, dst, dst_type, dst_strides, src, src_type, src_strides,
                                     ndim, shape);
    wgi_elementwise_launch l;
    memset(&l, 0, sizeof l);
    wgi_pass_of_two(&l.pass, ndim, shape, dst, (int)dst_type, dst_strides, src, (int)src_type,
                    src_strides);
    if (l.pass.numel == 0) return WG_OK;
    l.code = WGI_GPU_COPY;
    l.compute = (int)(src_type == WG_F64 ? WG_F64 : wgi_compute_dtype(dst_type));
    l.accumulate = true;
    wgi_launch_elementwise(&l, r->stream);
    return WG_OK;
}
