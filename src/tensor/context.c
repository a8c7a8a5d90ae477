/* The thread's context: opened at the first call, ended by a thread-specific destructor. */
#include "tensor/internal.h"

#include <pthread.h>
#include <stdlib.h>

_Thread_local wgi_context wgi_here;

static pthread_key_t thread_key;
static bool have_key;
static pthread_once_t started = PTHREAD_ONCE_INIT;
static atomic_uint_least64_t threads_seen;

bool wgi_flag(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

/* Runs again if another destructor of the thread still uses the library after this one. */
static void thread_end(void *context)
{
    wgi_context *c = context;
    wgi_scope_thread_end(c);
    wgi_error_thread_end(c);
    wgi_memory_thread_end();
    wgi_alloc_thread_end();
    free(c->profile);
    c->profile = NULL;
    c->ready = false;
}

static void library_start(void)
{
    have_key = pthread_key_create(&thread_key, thread_end) == 0;
    wgi_tensor_start();
}

wgi_context *wgi_ctx_open(void)
{
    pthread_once(&started, library_start);
    wgi_context *c = &wgi_here;
    c->now = (wgi_settings) { .grad = true, .dtype = WG_F32, .device = wg_cpu() };
    if (c->next_scope == 0)
        c->next_scope = (atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) + 1)
                        << 40;
    c->ready = true;
    if (have_key) pthread_setspecific(thread_key, c);
    return c;
}

void wg_at(const char *file, int line)
{
    wgi_here.file = file;
    wgi_here.line = line;
}

/* ---- settings ------------------------------------------------------------------------------ */

void wg_use_grad(bool on)
{
    wgi_ctx()->now.grad = on;
}

void wg_use_device(wg_device d)
{
    if (d.kind == WG_CUDA && !wgi_cuda)
        wg_raise(WG_EDEVICE, "use_device: no cuda device: built without CUDA");
    else if (d.kind == WG_CUDA && wgi_cuda->ready(d.index) != WG_OK)
        return; /* raised */
    else if (d.kind != WG_CPU && d.kind != WG_CUDA && d.kind != WG_META)
        wg_raise(WG_EARG, "use_device: %d is no kind of device", (int)d.kind);
    else
        wgi_ctx()->now.device = d;
}

int wg_cuda_device_count(void)
{
    return wgi_cuda ? wgi_cuda->count() : 0;
}

wg_status wg_synchronize(wg_device d)
{
    if (d.kind != WG_CUDA) return WG_OK;
    return wgi_cuda ? wgi_cuda->synchronize(d.index)
                    : wg_raise(WG_EDEVICE, "synchronize: no cuda device: built without CUDA");
}

void wg_use_dtype(wg_dtype t)
{
    if (wg_dtype_is_float(t))
        wgi_ctx()->now.dtype = t;
    else
        wg_raise(WG_EDTYPE, "use_dtype: %s is not floating", wg_dtype_name(t));
}

void wg_use_autocast(wg_dtype t)
{
    if (t == 0 || wgi_is_16bit((int)t))
        wgi_ctx()->now.autocast = t;
    else
        wg_raise(WG_EDTYPE, "use_autocast: %s is neither bf16 nor f16", wg_dtype_name(t));
}

bool wg_grad_is_on(void)
{
    return wgi_ctx()->now.grad;
}

wg_device wg_current_device(void)
{
    return wgi_ctx()->now.device;
}

wg_dtype wg_current_dtype(void)
{
    return wgi_ctx()->now.dtype;
}

wg_dtype wg_current_autocast(void)
{
    return wgi_ctx()->now.autocast;
}

/* ---- the module path ------------------------------------------------------------------------ */

void wgi_path_push(const char *name)
{
    wgi_path *node = wg_scope_alloc(sizeof *node); /* in the innermost scope; opens the root */
    if (!node) return;
    wgi_context *c = wgi_ctx();
    wgi_frame *f = &c->frames[c->depth - 1];
    node->name = name;
    node->parent = c->path;
    c->path = node;
    if (!f->module) f->module = node; /* the first one pushed in it knows what to go back to */
}

int wgi_path_text(char *out, size_t size)
{
    enum { MOST = 64 };
    const char *names[MOST]; /* innermost first */
    int n = 0;
    for (const wgi_path *p = wgi_ctx()->path; p && n < MOST; p = p->parent)
        if (p->name && *p->name) names[n++] = p->name;
    size_t used = 0;
    if (size > 0) *out = 0;
    while (n-- > 0 && used + 1 < size) {
        int w = snprintf(out + used, size - used, "%s%s", used ? "." : "", names[n]);
        used = w < 0 ? used : used + (size_t)w < size ? used + (size_t)w : size - 1;
    }
    return (int)used;
}
