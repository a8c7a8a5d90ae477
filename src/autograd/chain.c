/* Chains of a program's kernels: neighbours that are cheap plain loops in f32 over equally many elements. The result of one
 * stays in registers for the next; only what something else reads is stored, and what lies elsewhere is loaded. */
#include "autograd/launch.h"

typedef struct {
    const wgi_chain_kernels *k;
    struct wgi_launch *launch; /* (n) */
    int n;
    const wgi_program *program;
    int64_t
        held; /* the launch whose result is in the registers; HELD_LOADED: what `loaded` says; -1: nothing */
    wgi_address loaded; /* what was loaded into them */
    wgi_chain *to;      /* NULL: only finds what has to be stored */
    bool *stores;       /* (n) */
} builder;

enum { NOTHING = -1, LOADED = -2, SHORTEST = 2, LONGEST = 256 };

static bool chainable(const wgi_chain_kernels *k, const struct wgi_launch *l, int64_t numel)
{
    return l->plain.fn && l->plain.f32 && l->n_in <= 2 && k->onto[l->plain.formula] &&
           l->numel == numel && numel >= k->strip;
}

static bool same_address(const wgi_address *a, const wgi_address *b)
{
    return a->value == b->value && a->offset == b->offset;
}

/* The last launch before i that made this; NOTHING: it lay there before. */
static int64_t maker(const builder *b, int64_t i, const wgi_address *p)
{
    while (--i >= 0)
        if (b->launch[i].out.value == p->value) return i;
    return NOTHING;
}

static bool holds(const builder *b, int64_t i, const wgi_address *p)
{
    if (b->held == LOADED) return same_address(&b->loaded, p);
    return b->held >= 0 && b->held == maker(b, i, p) && same_address(&b->launch[b->held].out, p);
}

static void put(builder *b, wgi_chain_fn fn, const wgi_numbers *n, const wgi_address *p)
{
    if (!b->to) return;
    wgi_chain *c = b->to;
    c->item[c->n] = (wgi_chain_item) { .fn = fn };
    if (n) {
        c->item[c->n].a = (float)n->a;
        c->item[c->n].b = (float)n->b;
    }
    c->address[c->n++] = p ? *p : (wgi_address) { 0 };
}

/* Launch i reads p from memory: who made it has to store it. */
static void from_memory(builder *b, int64_t i, const wgi_address *p)
{
    const int64_t m = maker(b, i, p);
    if (m >= 0) b->stores[m] = true;
}

static void add(builder *b, int64_t i)
{
    const struct wgi_launch *l = &b->launch[i];
    const int f = l->plain.formula;
    const bool second = l->n_in == 2 && !holds(b, i, &l->in[0]) && holds(b, i, &l->in[1]);
    if (second) {
        from_memory(b, i, &l->in[0]);
        put(b, b->k->under[f], &l->plain.numbers, &l->in[0]);
    } else {
        if (!holds(b, i, &l->in[0])) {
            from_memory(b, i, &l->in[0]);
            put(b, b->k->load, NULL, &l->in[0]);
            b->held = LOADED;
            b->loaded = l->in[0];
        }
        if (l->n_in == 2) from_memory(b, i, &l->in[1]);
        put(b, b->k->onto[f], &l->plain.numbers, l->n_in == 2 ? &l->in[1] : NULL);
    }
    b->held = i;
    if (b->stores[i]) put(b, b->k->store, NULL, &l->out);
}

/* Who is read after the chain has to store, too. */
static void find_outlasting(builder *b)
{
    const int64_t last = b->launch[b->n - 1].step - b->program->step;
    for (int64_t i = 0; i < b->n; i++)
        b->stores[i] = b->program->value[b->launch[i].out.value].last > last &&
                       maker(b, b->n, &b->launch[i].out) == i;
}

static void build(const wgi_program *p, const wgi_chain_kernels *k, struct wgi_launch *first, int n)
{
    bool stores[LONGEST];
    builder b = {
        .k = k, .launch = first, .n = n, .program = p, .held = NOTHING, .stores = stores
    };
    find_outlasting(&b);
    for (int64_t i = 0; i < n; i++) add(&b, i);
    b.held = NOTHING;
    b.to = &first->chain;
    for (int64_t i = 0; i < n; i++) add(&b, i);
    put(&b, k->end, NULL, NULL);
    first->chain.launches = n;
}

void wgi_chain_find(wgi_replay *r, wgi_chain_item *item, wgi_address *address)
{
    const wgi_chain_kernels *k = WGI_PICK(wgi_chain_kernels);
    for (int64_t i = 0, n; i < r->launches; i += n) {
        struct wgi_launch *l = &r->launch[i];
        for (n = 0; i + n < r->launches && n < LONGEST && chainable(k, l + n, l->numel);) n++;
        if (n >= SHORTEST) {
            l->chain = (wgi_chain) { .item = item + WGI_CHAIN_ITEMS * i,
                                     .address = address + WGI_CHAIN_ITEMS * i };
            build(r->program, k, l, (int)n);
        }
        if (n == 0) n = 1;
    }
}

void wgi_chain_bind(wgi_chain *c)
{
    for (int64_t i = 0; i < c->n; i++)
        if (c->address[i].data) c->item[i].data = wgi_address_now(&c->address[i]);
}
