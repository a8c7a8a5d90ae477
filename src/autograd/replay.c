/* Runs of a program: its kernels, one after the other, on memory of the thread's own. */
#include "autograd/launch.h"

enum { LINE = 64 }; /* bytes of the cache */

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* The next part of `bytes` bytes; its offset. */
static size_t part(size_t *end, size_t bytes)
{
    const size_t at = *end;
    *end += aligned(bytes);
    return at;
}

/* The block, then the tables: one allocation. */
static wg_status take_memory(wgi_replay *r, wg_tensor ***list)
{
    const wgi_program *p = r->program;
    const size_t steps = (size_t)p->steps, values = (size_t)p->values,
                 operands = (size_t)p->operands, items = WGI_CHAIN_ITEMS * steps;
    size_t end = aligned(p->block);
    const size_t storage = part(&end, values * sizeof *r->storage),
                 operand = part(&end, operands * sizeof *r->operand),
                 launch = part(&end, steps * sizeof *r->launch),
                 ahead = part(&end, values * sizeof *r->ahead),
                 item = part(&end, items * sizeof *r->item),
                 place = part(&end, items * sizeof *r->address),
                 pointers = part(&end, operands * sizeof **list);
    r->bytes = end;
    char *m = r->memory = wgi_cpu_alloc(end);
    if (!m) return wg_raise(WG_EMEM, "fuse: out of memory");
    r->storage = (void *)(m + storage);
    r->operand = (void *)(m + operand);
    r->launch = (void *)(m + launch);
    r->ahead = (void *)(m + ahead);
    r->item = (void *)(m + item);
    r->address = (void *)(m + place);
    *list = (void *)(m + pointers);
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

static wgi_address address_of(const wgi_replay *r, const wg_tensor *t)
{
    return (wgi_address) { .data = &t->storage->data,
                           .offset = (size_t)t->offset * wgi_dtype_bytes[t->dtype],
                           .value = r->program->operand[t - r->operand].value };
}

static void prepare_plain(const wgi_replay *r, struct wgi_launch *l)
{
    l->n_in = (int)l->run.in.n;
    for (int k = 0; k < l->n_in; k++) l->in[k] = address_of(r, l->run.in.t[k]);
    l->out = address_of(r, l->run.out.t[0]);
    l->numel = l->run.out.t[0]->numel;
}

void wgi_launch_plain(const struct wgi_launch *l, int64_t first)
{
    const size_t skip = (size_t)first * wgi_dtype_bytes[l->run.out.t[0]->dtype];
    const void *in[WGI_OPERANDS];
    for (int k = 0; k < l->n_in; k++) in[k] = (char *)wgi_address_now(&l->in[k]) + skip;
    l->plain.fn((char *)wgi_address_now(&l->out) + skip, in, l->numel - first, &l->plain.numbers);
}

static wg_status launch(const wgi_replay *r, wgi_context *c, struct wgi_launch *l)
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
    if (l->plain.fn) prepare_plain(r, l);
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
        const int64_t left = (int64_t)(a->bytes + LINE - 1) / LINE, now = n < left ? n : left;
        const char *p = a->data;
        for (int64_t i = 0; i < now; i++) __builtin_prefetch(p + i * LINE);
        n -= now;
        a->data = p + now * LINE;
        if (now < left)
            a->bytes -= (size_t)(now * LINE);
        else
            r->aheads--;
    }
}

/* Strip by strip; `lines` are fetched in all. What is no whole strip goes through the loops. */
static void run_chain(wgi_replay *r, struct wgi_launch *l, int64_t lines)
{
    const wgi_chain_kernels *k = WGI_PICK(wgi_chain_kernels);
    const int64_t strips = l->numel / k->strip, whole = strips * k->strip;
    wgi_chain_bind(&l->chain);
    for (int64_t i = 0; i < strips; i++) {
        fetch(r, (lines + strips - 1) / strips);
        k->run(l->chain.item, i * k->strip);
    }
    for (int j = 0; j < l->chain.launches && whole < l->numel; j++) wgi_launch_plain(l + j, whole);
}

wg_status wgi_replay_run(wgi_replay *r, wgi_context *c)
{
    wg_status s = WG_OK;
    const int64_t lines = r->launches ? (r->lines + r->launches - 1) / r->launches : 0;
    for (int64_t i = 0, n; i < r->launches && s == WG_OK; i += n) {
        struct wgi_launch *l = &r->launch[i];
        n = l->chain.launches ? l->chain.launches : 1;
        if (l->chain.launches) {
            run_chain(r, l, n * lines);
            continue;
        }
        fetch(r, lines);
        if (l->plain.fn)
            wgi_launch_plain(l, 0);
        else
            s = launch(r, c, l);
    }
    if (!r->chained && s == WG_OK) wgi_chain_find(r, r->item, r->address);
    r->chained = s == WG_OK;
    r->aheads = r->lines = 0;
    c->op = NULL;
    c->operands = WG_NO_LIST;
    return s;
}
