/* Shapes, strides, axes, broadcasting. */
#include "tensor/internal.h"

#include <stdlib.h>

const wg_dims WG_ALL = { .n = WGI_ALL_AXES };

wg_dims wg_dims_make(int n, const int64_t *d)
{
    return wgi_dims(n < 0 || n > WG_MAX_DIMS || (n > 0 && !d) ? WGI_INVALID_DIMS : n, d);
}

int64_t wgi_numel(const wg_dims *s)
{
    if (s->n < 0 || s->n > WG_MAX_DIMS) return -1;
    int64_t extent = 1; /* with empty axes counted as 1, so that strides cannot overflow either */
    bool empty = false;
    for (int i = 0; i < s->n; i++) {
        if (s->d[i] < 0) return -1;
        if (s->d[i] == 0) empty = true;
        if (s->d[i] > 1 && __builtin_mul_overflow(extent, s->d[i], &extent)) return -1;
    }
    if (extent > INT64_MAX / 8) return -1;
    return empty ? 0 : extent;
}

wg_dims wgi_row_major(const wg_dims *shape)
{
    wg_dims r;
    r.n = shape->n;
    wgi_row_major_into(shape, r.d);
    return r;
}

static bool same(int n, const int64_t *a, const int64_t *b)
{
    for (int i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

bool wgi_same_shape(const wg_tensor *a, const wg_tensor *b)
{
    return a->ndim == b->ndim && same(a->ndim, a->shape, b->shape);
}

bool wgi_dims_equal(const wg_dims *a, const wg_dims *b)
{
    return a->n == b->n && same(a->n, a->d, b->d);
}

bool wgi_is_contiguous(const wg_tensor *t)
{
    if (t->numel == 0) return true;
    int64_t stride = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] == 1) continue; /* its stride is never used */
        if (t->strides[i] != stride) return false;
        stride *= t->shape[i];
    }
    return true;
}

bool wgi_overlaps_itself(const wg_tensor *t)
{
    if (t->numel == 0 || wgi_is_contiguous(t)) return false;
    int order[WG_MAX_DIMS], n = 0; /* axes longer than 1 by rising stride */
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 1) continue;
        int at = n++;
        for (; at > 0 && llabs(t->strides[order[at - 1]]) > llabs(t->strides[i]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    int64_t reach = 0; /* the farthest that the axes so far go from an element */
    for (int k = 0; k < n; k++) {
        int64_t stride = llabs(t->strides[order[k]]);
        if (stride <= reach) return true;
        reach += stride * (t->shape[order[k]] - 1);
    }
    return false;
}

wg_status wgi_broadcast(const wg_dims *a, const wg_dims *b, wg_dims *out)
{
    if (a->n < 0 || b->n < 0) return wg_raise(WG_ESHAPE, "invalid shape");
    int n = a->n > b->n ? a->n : b->n;
    out->n = n;
    for (int i = 1; i <= n; i++) { /* from the last axis */
        int64_t x = i <= a->n ? a->d[a->n - i] : 1, y = i <= b->n ? b->d[b->n - i] : 1;
        if (x != y && x != 1 && y != 1) return wg_raise(WG_ESHAPE, "shapes do not broadcast");
        out->d[n - i] = x == 1 ? y : x;
    }
    return WG_OK;
}

wg_status wgi_axis(int axis, int n, int *out)
{
    int m = n > 0 ? n : 1;
    if (axis < -m || axis >= m)
        return wg_raise(WG_EINDEX, "axis %d is out of range for %d dimension%s", axis, n,
                        n == 1 ? "" : "s");
    *out = axis < 0 ? axis + m : axis;
    return WG_OK;
}

wg_status wgi_axes(const wg_dims *axes, int n, unsigned *mask)
{
    *mask = (1u << n) - 1;
    if (wgi_is_all(axes)) return WG_OK;
    if (axes->n < 0 || axes->n > WG_MAX_DIMS) return wg_raise(WG_EARG, "invalid axes");
    *mask = 0;
    for (int i = 0; i < axes->n; i++) {
        int64_t given = axes->d[i];
        int axis = 0, narrow = given > 127 ? 127 : given < -128 ? -128 : (int)given;
        wg_status s = wgi_axis(narrow, n, &axis);
        if (s != WG_OK) return s;
        if (*mask & 1u << axis) return wg_raise(WG_EARG, "axis %d is given twice", axis);
        *mask |= 1u << axis;
    }
    *mask &= (1u << n) - 1; /* axis 0 of a 0-d tensor is none */
    return WG_OK;
}

/* Walks both shapes from the end: each run of old axes that are laid out as one can be cut anew. */
bool wgi_view_strides(const wg_dims *shape, const wg_dims *strides, const wg_dims *to, wg_dims *out)
{
    *out = wgi_row_major(to);
    if (wgi_numel(shape) <= 0 || wgi_numel(shape) != wgi_numel(to))
        return wgi_numel(shape) == wgi_numel(to);
    if (shape->n == 0) return true;
    int next = to->n - 1;
    int64_t old = 1, new = 1; /* elements of the run, in the old and the new shape */
    int64_t base = shape->n > 0 ? strides->d[shape->n - 1] : 1;
    for (int i = shape->n - 1; i >= 0; i--) {
        if (old == 1) base = strides->d[i];
        old *= shape->d[i];
        bool ends = i == 0 || (shape->d[i - 1] != 1 && strides->d[i - 1] != old * base);
        if (!ends) continue;
        while (next >= 0 && (new < old || to->d[next] == 1)) {
            out->d[next] = new *base;
            new *= to->d[next--];
        }
        if (new != old) return false;
        old = new = 1;
    }
    return true; /* what is left of `to` are sizes of 1 */
}

/* ---- as text ------------------------------------------------------------------------------------
 */

int wgi_shape_text(char *out, size_t size, const wg_dims *shape)
{
    if (shape->n < 0 || shape->n > WG_MAX_DIMS) return snprintf(out, size, "(invalid)");
    char text[WG_MAX_DIMS * 22 + 3];
    size_t used = 1;
    text[0] = '(';
    for (int i = 0; i < shape->n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%lld", i ? ", " : "",
                                 (long long)shape->d[i]);
    text[used++] = ')';
    text[used] = 0;
    return snprintf(out, size, "%s", text);
}

int wgi_device_text(char *out, size_t size, wg_device d)
{
    if (d.kind == WG_CUDA) return snprintf(out, size, "cuda:%d", d.index);
    return snprintf(out, size, "%s", d.kind == WG_CPU ? "cpu" : "meta");
}

int wgi_tensor_text(char *out, size_t size, const wg_tensor *t)
{
    if (!t) return snprintf(out, size, "NULL");
    if (wgi_bad(t)) return snprintf(out, size, t->flags & WGI_ERROR ? "error" : "ended");
    char shape[WG_MAX_DIMS * 22 + 3], device[24];
    wg_dims d = wgi_shape(t);
    wgi_shape_text(shape, sizeof shape, &d);
    wgi_device_text(device, sizeof device, t->device);
    return snprintf(out, size, "%s %s %s", shape, wg_dtype_name((wg_dtype)t->dtype), device);
}
