/* What a running kernel sees of its operands, and the memory that it asks for. */
#include "autograd/door.h"
#include "wengert/error.h"

/* Scratch memory of a running kernel: on the CPU the node lies in front of it, else apart. */
typedef struct wgi_scratch {
    struct wgi_scratch *next;
    size_t bytes; /* of the node and what follows it */
    void *apart;  /* on another device, and its bytes there */
    size_t apart_bytes;
} scratch;
enum { SCRATCH_HEAD = 64 }; /* keeps what follows aligned */

static void *scratch_apart(wgi_kernel_memory *m, scratch *s, size_t bytes)
{
    s->apart = wgi_cuda->alloc(m->device.index, bytes);
    s->apart_bytes = bytes;
    return s->apart;
}

void *wg_scratch(const wg_run *r, size_t bytes)
{
    wgi_kernel_memory *m = r->door;
    const bool here = m->device.kind == WG_CPU;
    const size_t own = SCRATCH_HEAD + (here ? bytes : 0);
    scratch *s = bytes < SIZE_MAX - SCRATCH_HEAD ? wgi_cpu_alloc(own) : NULL;
    if (!s) {
        wg_raise(WG_EMEM, "out of memory: %zu bytes of scratch", bytes);
        return NULL;
    }
    s->bytes = own;
    s->apart = NULL;
    s->next = m->first;
    m->first = s;
    return here ? (char *)s + SCRATCH_HEAD : scratch_apart(m, s, bytes);
}

void wgi_scratch_release(wgi_kernel_memory *m)
{
    while (m->first) {
        scratch *s = m->first;
        m->first = s->next;
        if (s->apart) wgi_cuda->free(m->device.index, s->apart, s->apart_bytes);
        wgi_cpu_free(s, s->bytes);
    }
}

const void *wg_run_in(const wg_run *r, int i)
{
    return i < r->in.n && r->in.t[i] ? wgi_data(r->in.t[i]) : NULL;
}

void *wg_run_out(const wg_run *r, int i)
{
    return i < r->out.n && r->out.t[i] ? wgi_data(r->out.t[i]) : NULL;
}
