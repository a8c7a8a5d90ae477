#include "io/elements.h"

#include "tensor/internal.h"
#include "wengert/ops/shape.h"

wg_status wgi_write_elements(wgi_replace *r, wg_tensor *t, void *room)
{
    const size_t bytes = wgi_bytes_of((wg_dtype)t->dtype, t->numel);
    if (t->numel == 0) return WG_OK;
    if (t->device.kind == WG_CPU && wgi_is_contiguous(t))
        return wgi_replace_write(r, wgi_data(t), bytes);
    if (bytes <= WGI_PIECE) {
        const wg_status st = wg_read(t, room, bytes, (wg_dtype)t->dtype);
        return st ? st : wgi_replace_write(r, room, bytes);
    }
    const int64_t row = (int64_t)bytes / t->shape[0], rows = row < WGI_PIECE ? WGI_PIECE / row : 1;
    wg_status st = WG_OK;
    for (int64_t i = 0; i < t->shape[0] && !st; i += rows) {
        const wg_scope s = wg_scope_push();
        wg_use_grad(false);
        const int64_t n = t->shape[0] - i < rows ? t->shape[0] - i : rows;
        st = wgi_write_elements(r, row > WGI_PIECE ? wg_select(t, 0, i) : wg_narrow(t, 0, i, n),
                                room);
        wg_scope_return(s, NULL);
        if (!st) st = wg_error_code();
    }
    return st;
}
