/* Runs of a program: its kernels, one after the other, on memory of the thread's own. */
#include "autograd/program.h"

#include "cpu/elementwise.h"

typedef struct { /* where an operand of a plain loop lies */
    void *const *data;
    size_t offset; /* in bytes */
} place;

/* A kernel. One that has told that it is a plain loop is called as that from then on. */
struct wgi_launch {
    wg_run run;
    const wgi_step *step;
    wgi_plain_kernel plain;
    place in[WGI_OPERANDS], out;
    int n_in;
    int64_t numel;
};

enum { LINE = 64 }; /* bytes of the cache */

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* The block, then the tables: one allocation. */
static wg_status take_memory(wgi_replay *r, wg_tensor ***list)
{
    const wgi_program *p = r->program;
    const size_t block = aligned(p->block),
                 storages = aligned((size_t)p->values * sizeof *r->storage),
                 operands = aligned((size_t)p->operands * sizeof *r->operand),
                 launches = aligned((size_t)p->steps * sizeof *r->launch),
                 aheads = aligned((size_t)p->values * sizeof *r->ahead);
    r->bytes =
        block + storages + operands + launches + aheads + (size_t)p->operands * sizeof **list + 64;
    char *m = r->memory = wgi_cpu_alloc(r->bytes);
    if (!m) return wg_raise(WG_EMEM, "fuse: out of memory");
    r->storage = (void *)(m + block);
    r->operand = (void *)(m + block + storages);
    r->launch = (void *)(m + block + storages + operands);
    r->ahead = (void *)(m + block + storages + operands + launches);
    *list = (void *)(m + block + storages + operands + launches + aheads);
    return WG_OK;
}

static void set_storages(wgi_replay *r)
{
    for (int64_t i = 0; i < r->program->values; i++) {
        const wgi_value *v = &r->program->value[i];
        memset(&r->storage[i], 0, sizeof r->storage[i]);
        atomic_init(&r->storage[i].refs, 1);
        r->storage[i].device = wg_cpu();
        r->storage[i].bytes = v->storage->bytes;
        r->storage[i].data = v->made ? (char *)r->memory + v->at : v->constant;
    }
}

static void set_launches(wgi_replay *r, wg_tensor **list)
{
    const wgi_program *p = r->program;
    for (int64_t i = 0; i < p->operands; i++) {
        const wgi_operand *o = &p->operand[i];
        list[i] = o->value < 0 ? NULL : &r->operand[i];
        if (o->value < 0) continue;
        r->operand[i] = o->like;
        r->operand[i].storage = &r->storage[o->value];
    }
    for (int64_t i = 0; i < p->steps; i++) {
        const wgi_step *s = &p->step[i];
        if (!s->used) continue;
        wg_tensor **t = list + s->first;
        r->launch[r->launches++] =
            (struct wgi_launch) { .step = s,
                                  .run = { .attr = s->attr == SIZE_MAX ? NULL : p->attr + s->attr,
                                           .in = { s->n_in, t },
                                           .out = { s->n_out, t + s->n_in },
                                           .accumulate = s->accumulate } };
    }
}

wg_status wgi_replay_open(wgi_replay *r, const wgi_program *p)
{
    wg_tensor **list = NULL;
    *r = (wgi_replay) { .program = p };
    const wg_status s = take_memory(r, &list);
    if (s != WG_OK) return s;
    set_storages(r);
    set_launches(r, list);
    return WG_OK;
}

void wgi_replay_close(wgi_replay *r)
{
    if (r->memory) wgi_cpu_free(r->memory, r->bytes);
    r->memory = NULL;
}

static place place_of(const wg_tensor *t)
{
    return (place) { &t->storage->data, (size_t)t->offset * wgi_dtype_bytes[t->dtype] };
}

static void prepare_plain(struct wgi_launch *l)
{
    l->n_in = (int)l->run.in.n;
    for (int k = 0; k < l->n_in; k++) l->in[k] = place_of(l->run.in.t[k]);
    l->out = place_of(l->run.out.t[0]);
    l->numel = l->run.out.t[0]->numel;
}

static void *at(place p)
{
    return (char *)*p.data + p.offset;
}

static void run_plain(const struct wgi_launch *l)
{
    const void *in[WGI_OPERANDS];
    for (int k = 0; k < l->n_in; k++) in[k] = at(l->in[k]);
    l->plain.fn(at(l->out), in, l->numel, &l->plain.numbers);
}

static wg_status launch(wgi_context *c, struct wgi_launch *l)
{
    wgi_kernel_memory memory = { .device = wg_cpu(), .plain = &l->plain };
    wg_run run = l->run;
    run.door = &memory;
    c->op = l->step->op;
    c->operands = run.in;
    c->file = l->step->file;
    c->line = l->step->line;
    wg_status s = l->step->kernel(&run);
    if (s != WG_OK && !wg_error_code()) wg_raise(s, "failed");
    if (memory.first) wgi_scratch_release(&memory);
    if (l->plain.fn) prepare_plain(l);
    return s;
}

void wgi_replay_ahead(wgi_replay *r, int value, const void *data)
{
    const size_t bytes = r->storage[value].bytes;
    r->ahead[r->aheads++] = (wgi_ahead) { data, bytes };
    r->lines += (int64_t)(bytes + LINE - 1) / LINE;
}

/* The next n lines of what lies ahead. */
static void fetch(wgi_replay *r, int64_t n)
{
    while (n > 0 && r->aheads) {
        wgi_ahead *a = &r->ahead[r->aheads - 1];
        for (; n > 0 && a->bytes > 0; n--) {
            __builtin_prefetch(a->data);
            a->data += LINE;
            a->bytes = a->bytes > LINE ? a->bytes - LINE : 0;
        }
        if (!a->bytes) r->aheads--;
    }
}

wg_status wgi_replay_run(wgi_replay *r, wgi_context *c)
{
    wg_status s = WG_OK;
    const int64_t lines = r->launches ? (r->lines + r->launches - 1) / r->launches : 0;
    for (int64_t i = 0; i < r->launches && s == WG_OK; i++) {
        fetch(r, lines);
        struct wgi_launch *l = &r->launch[i];
        if (l->plain.fn)
            run_plain(l);
        else
            s = launch(c, l);
    }
    r->aheads = r->lines = 0;
    c->op = NULL;
    c->operands = WG_NO_LIST;
    return s;
}
