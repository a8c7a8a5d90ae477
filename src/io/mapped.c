#include "io/mapped.h"

#include "tensor/internal.h"
#include "wengert/io.h"

static void release(void *owner)
{
    wgi_mapping_unref(owner);
}

static wg_tensor *share(wgi_context *c, wgi_mapping *m, const unsigned char *data, size_t bytes,
                        wg_dtype t, const wg_dims *shape)
{
    wgi_storage *s =
        wgi_storage_wrap((void *)(uintptr_t)data, bytes, true, release, wgi_mapping_ref(m));
    if (!s) {
        wgi_mapping_unref(m);
        return &wgi_error_tensor;
    }
    wg_tensor *x = wgi_tensor_on(c, s, t, *shape, wgi_row_major(shape), 0);
    wgi_storage_unref(s);
    return x ? wgi_own(c, x) : &wgi_error_tensor;
}

wg_tensor *wgi_mapped_tensor(wgi_mapping *m, size_t begin, size_t bytes, wg_dtype t,
                             const wg_dims *shape)
{
    wgi_context *c = wgi_ctx();
    const unsigned char *data = bytes ? m->data + begin : NULL;
    const size_t element = wg_dtype_size(t), align = element ? element : 2; /* blocks hold f16 */
    if (bytes && (uintptr_t)data % align == 0) return share(c, m, data, bytes, t, shape);
    wg_tensor *x = wgi_tensor_new(c, t, wg_cpu(), *shape);
    if (bytes && !wgi_bad(x)) memcpy(wgi_data(x), data, bytes);
    return x;
}

/* ---- any file -------------------------------------------------------------------------------- */
/* A wg_file is the mapping itself. */
static wgi_mapping *mapping(const wg_file *f)
{
    return (wgi_mapping *)(uintptr_t)f;
}

wg_file *wg_file_open(const char *path)
{
    return wg_error_code() ? NULL : (wg_file *)wgi_mapping_open(path);
}

void wg_file_close(wg_file *f)
{
    wgi_mapping_unref(mapping(f)); /* stays while tensors share it */
}

const void *wg_file_data(const wg_file *f)
{
    return f ? mapping(f)->data : NULL;
}

int64_t wg_file_bytes(const wg_file *f)
{
    return f ? (int64_t)mapping(f)->bytes : 0;
}

wg_tensor *wg_file_tensor(wg_file *f, int64_t offset, wg_dtype t, wg_dims shape)
{
    if (!f) return wg_fail(WG_EARG, "file_tensor: no file given");
    const int64_t block = wg_dtype_block(t), n = wgi_numel(&shape);
    if (block == 0) return wg_fail(WG_EDTYPE, "file_tensor: no such dtype");
    const int64_t row = shape.n ? shape.d[shape.n - 1] : 1;
    int64_t bytes;
    if (n < 0 || row % block != 0 ||
        __builtin_mul_overflow(n / block, (int64_t)wg_dtype_block_bytes(t), &bytes))
        return wg_fail(WG_ESHAPE, "file_tensor: the shape is invalid");
    if (offset < 0 || offset > wg_file_bytes(f) || bytes > wg_file_bytes(f) - offset)
        return wg_fail(WG_EARG, "file_tensor: %lld bytes at %lld of a file of %lld",
                       (long long)bytes, (long long)offset, (long long)wg_file_bytes(f));
    return wgi_mapped_tensor(mapping(f), (size_t)offset, (size_t)bytes, t, &shape);
}
