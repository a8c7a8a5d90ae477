#include "cuda/operands.h"

static void set_operand(wgi_operand *o, const wg_tensor *t, const wg_dims *shape)
{
    memset(o, 0, sizeof *o);
    if (!t) return;
    o->type = t->dtype;
    if (t->device.kind == WG_CPU) { /* a weak scalar */
        o->kind = WGI_OPERAND_NUMBER;
        o->real = wgi_load(wgi_data(t), (wg_dtype)t->dtype);
        o->whole = wgi_load_int(wgi_data(t), (wg_dtype)t->dtype);
        return;
    }
    const int missing = shape->n - t->ndim;
    o->kind = WGI_OPERAND_MEMORY;
    o->data = wgi_data(t);
    for (int i = 0; i < shape->n; i++)
        o->stride[i] = i < missing || t->shape[i - missing] == 1 ? 0 : t->strides[i - missing];
}

void wgi_pass_make(wgi_pass *p, const wg_dims *shape, int n, const wg_tensor *const *operand)
{
    p->n = n;
    p->ndim = shape->n;
    p->numel = wgi_numel(shape);
    for (int i = 0; i < shape->n; i++) p->size[i] = shape->d[i];
    for (int k = 0; k < n; k++) set_operand(&p->o[k], operand[k], shape);
    wgi_pass_coalesce(p);
}

void wgi_pass_of_two(wgi_pass *p, int ndim, const int64_t *shape, void *dst, int dst_type,
                     const int64_t *dst_strides, const void *src, int src_type,
                     const int64_t *src_strides)
{
    memset(p, 0, sizeof *p);
    p->n = 2;
    p->ndim = ndim;
    p->numel = 1;
    p->o[0] = (wgi_operand) { .kind = WGI_OPERAND_MEMORY, .type = dst_type, .data = dst };
    p->o[1] = (wgi_operand) { .kind = WGI_OPERAND_MEMORY,
                              .type = src_type,
                              .data = (void *)(uintptr_t)src };
    for (int i = 0; i < ndim; i++) {
        p->size[i] = shape[i];
        p->numel *= shape[i];
        p->o[0].stride[i] = shape[i] == 1 ? 0 : dst_strides[i];
        p->o[1].stride[i] = shape[i] == 1 ? 0 : src_strides[i];
    }
    wgi_pass_coalesce(p);
}

wgi_fault_source wgi_fault_of(wgi_fault_kind kind, const wg_tensor *t, const char *name,
                              int64_t limit)
{
    wgi_fault_source s;
    memset(&s, 0, sizeof s);
    s.kind = (int)kind;
    s.limit = limit;
    s.op = wgi_ctx()->op;
    if (name) snprintf(s.name, sizeof s.name, "%s", name);
    if (!t) return s;
    s.ndim = t->ndim;
    for (int d = 0; d < t->ndim; d++) s.shape[d] = t->shape[d];
    return s;
}

wgi_cuda_device *wgi_cuda_running(const wg_run *r)
{
    for (int64_t i = 0; i < r->out.n; i++)
        if (r->out.t[i] && r->out.t[i]->device.kind == WG_CUDA)
            return wgi_cuda_opened(r->out.t[i]->device.index);
    for (int64_t i = 0; i < r->in.n; i++)
        if (r->in.t[i] && r->in.t[i]->device.kind == WG_CUDA)
            return wgi_cuda_opened(r->in.t[i]->device.index);
    return NULL;
}
