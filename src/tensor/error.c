/* Errors: every one passes wg_raise. And messages for people. */
#include "tensor/internal.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "wengert/op.h"

static const char *const status_names[] = {
    [WG_OK] = "WG_OK",
    [WG_EARG] = "WG_EARG",
    [WG_ESHAPE] = "WG_ESHAPE",
    [WG_EDTYPE] = "WG_EDTYPE",
    [WG_EDEVICE] = "WG_EDEVICE",
    [WG_EINDEX] = "WG_EINDEX",
    [WG_EGRAD] = "WG_EGRAD",
    [WG_ESCOPE] = "WG_ESCOPE",
    [WG_EMEM] = "WG_EMEM",
    [WG_EIO] = "WG_EIO",
    [WG_EFORMAT] = "WG_EFORMAT",
    [WG_ENOTFOUND] = "WG_ENOTFOUND",
    [WG_ENUMERIC] = "WG_ENUMERIC",
};

const char *wg_status_name(wg_status s)
{
    unsigned i = (unsigned)s;
    return i < sizeof status_names / sizeof *status_names ? status_names[i] : "unknown status";
}

/* ---- text into a fixed buffer, cut where it ends ------------------------------------------------
 */

typedef struct {
    char *at;
    size_t left;
} text;

static void put_list(text *t, const char *fmt, va_list args) WG_PRINTF(2, 0);
static void put_list(text *t, const char *fmt, va_list args)
{
    int n = vsnprintf(t->at, t->left, fmt, args);
    size_t w = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += w;
    t->left -= w;
}

static void put(text *t, const char *fmt, ...) WG_PRINTF(2, 3);
static void put(text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_list(t, fmt, args);
    va_end(args);
}

/* The name of operand i of a row whose inputs come in groups; the list may be one group alone. */
static const char *name_in_group(const wg_op *op, wg_list in, int64_t i)
{
    int64_t names = 0;
    while (names < WG_MAX_INPUTS && op->in[names]) names++;
    const int64_t before = names - op->repeat;
    if (in.n == op->repeat) return op->in[before + i];
    return op->in[i < before ? i : before + (i - before) % op->repeat];
}

/* ": x (4, 64, 768) f32 cpu, w (2304, 769) f32 cpu"; names come from the row: "bias?" and "more*"
 * lose their mark. */
static void put_operands(text *t, const wg_op *op, wg_list in)
{
    const char *name = "x", *before = ": ";
    int64_t variadic = -1;
    for (int64_t i = 0; i < in.n; i++) {
        if (op->repeat)
            name = name_in_group(op, in, i);
        else if (variadic < 0 && i < WG_MAX_INPUTS && op->in[i])
            name = op->in[i];
        size_t length = strlen(name);
        char mark = length ? name[length - 1] : 0;
        if (mark == '?' || mark == '*') length--;
        if (mark == '*' && variadic < 0) variadic = i;
        if (!in.t[i]) continue;
        put(t, "%s%.*s", before, (int)length, name);
        if (variadic >= 0) put(t, "[%lld]", (long long)(i - variadic));
        char shape[256];
        wgi_tensor_text(shape, sizeof shape, in.t[i]);
        put(t, " %s", shape);
        before = ", ";
    }
}

static bool begins_with_name(const char *s, const char *name)
{
    size_t n = strlen(name);
    return strncmp(s, name, n) == 0 && s[n] == ':';
}

static char *copy_of(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = wgi_malloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

static void raise_list(wgi_context *c, wg_status code, const char *fmt, va_list args)
    WG_PRINTF(3, 0);
static void raise_list(wgi_context *c, wg_status code, const char *fmt, va_list args)
{
    char said[1024], message[4096], module[512];
    text inner = { said, sizeof said }, t = { message, sizeof message };
    put_list(&inner, fmt, args);
    if (c->op && !begins_with_name(said, c->op->name)) put(&t, "%s: ", c->op->name);
    put(&t, "%s", said);
    if (c->op) put_operands(&t, c->op, c->operands);
    bool inside = wgi_path_text(module, sizeof module) > 0;
    if (inside) put(&t, "; in %s", module);
    if (c->file) put(&t, "; at %s:%d", c->file, c->line);

    c->message = copy_of(message);
    c->error_module = inside ? copy_of(module) : NULL;
    c->error =
        (wg_error) { .code = code,
                     .message = c->message ? c->message : "out of memory, also for the message",
                     .op = c->op ? c->op->name : NULL,
                     .module = c->error_module,
                     .file = c->file,
                     .line = c->line };
    if (wgi_flag("WG_ABORT")) {
        wgi_log(0, "%s", message);
        abort();
    }
}

wg_status wg_raise(wg_status code, const char *fmt, ...)
{
    wgi_context *c = wgi_ctx();
    if (code == WG_OK) code = WG_EARG;
    if (c->error.code == WG_OK) {
        va_list args;
        va_start(args, fmt);
        raise_list(c, code, fmt ? fmt : "failed", args);
        va_end(args);
    }
    return code;
}

wg_tensor *wg_fail(wg_status code, const char *fmt, ...)
{
    wgi_context *c = wgi_ctx();
    if (c->error.code == WG_OK) {
        va_list args;
        va_start(args, fmt);
        raise_list(c, code == WG_OK ? WG_EARG : code, fmt, args);
        va_end(args);
    }
    return &wgi_error_tensor;
}

bool wgi_refuse(const wg_tensor *t, const char *function)
{
    if (!wgi_bad(t)) return false;
    if (wgi_ctx()->error.code != WG_OK) return true;
    if (!t)
        wg_raise(WG_EARG, "%s: the tensor is NULL", function);
    else if (t->magic == WGI_DEAD && t->died_file)
        wg_raise(WG_ESCOPE, "%s: the tensor made at %s:%d ended with its scope at %s:%d", function,
                 t->file ? t->file : "?", t->line, t->died_file, t->died_line);
    else if (t->magic != WGI_ALIVE)
        wg_raise(WG_ESCOPE, "%s: the tensor ended with its scope", function);
    else
        wg_raise(WG_EARG, "%s: given an error tensor", function);
    return true;
}

const wg_error *wg_error_get(void)
{
    wgi_context *c = wgi_ctx();
    return c->error.code == WG_OK ? NULL : &c->error;
}

wg_status wg_error_code(void)
{
    return wgi_ctx()->error.code;
}

void wg_error_clear(void)
{
    wgi_error_thread_end(wgi_ctx());
}

void wgi_error_thread_end(wgi_context *c)
{
    free(c->message);
    free(c->error_module);
    c->message = c->error_module = NULL;
    c->error = (wg_error) { .code = WG_OK };
}

wgi_held_error wgi_error_take(wgi_context *c)
{
    wgi_held_error e = { c->error, c->message, c->error_module };
    c->error = (wg_error) { .code = WG_OK };
    c->message = c->error_module = NULL;
    return e;
}

void wgi_error_put(wgi_context *c, wgi_held_error e)
{
    wgi_error_thread_end(c);
    c->error = e.error;
    c->message = e.message;
    c->error_module = e.module;
}

int wg_error_print(FILE *f)
{
    const wg_error *e = wg_error_get();
    if (!e) return 0;
    if (f) fprintf(f, "error: %s\n", e->message);
    wg_error_clear();
    return 1;
}

bool wg_is_error(const wg_tensor *t)
{
    return wgi_bad(t);
}

/* ---- messages for people
 * -------------------------------------------------------------------------- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static wg_log_fn log_fn;
static void *log_self;
static atomic_bool log_set;

void wg_log_to(wg_log_fn fn, void *self)
{
    pthread_mutex_lock(&log_lock);
    log_fn = fn;
    log_self = self;
    atomic_store_explicit(&log_set, fn != NULL, memory_order_relaxed);
    pthread_mutex_unlock(&log_lock);
}

int wgi_verbose(void)
{
    static atomic_int known = -1; /* every thread finds the same */
    int v = atomic_load_explicit(&known, memory_order_relaxed);
    if (v < 0) {
        const char *value = getenv("WG_VERBOSE");
        v = value ? atoi(value) : 0;
        if (v < 1) v = wgi_flag("WG_ABORT") || wgi_flag("WG_DEBUG_LEAKS");
        atomic_store_explicit(&known, v, memory_order_relaxed);
    }
    return v;
}

void wgi_log(int level, const char *fmt, ...)
{
    bool set = atomic_load_explicit(&log_set, memory_order_relaxed);
    if (!set && (wgi_verbose() < 1 || level > wgi_verbose())) return;
    char message[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    pthread_mutex_lock(&log_lock);
    wg_log_fn fn = log_fn;
    void *self = log_self;
    pthread_mutex_unlock(&log_lock); /* the user's function may log again */
    if (fn)
        fn(self, level, message);
    else if (!set)
        fprintf(stderr, "wengert: %s\n", message);
}
