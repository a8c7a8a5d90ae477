/* The key-value cache: a slot per attention module; an append copies the new rows only. */
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"
#include "wengert/scope.h"
#include "wengert/tensor.h"

typedef struct {
    const wg_module *module;
    wg_tensor *k, *v; /* (B, H, room, D), one reference each */
    int64_t length;   /* positions in use */
} kv_slot;

struct wg_kv_cache {
    int64_t capacity;
    int64_t n, slots_capacity;
    kv_slot *slots;
};

enum { TIME = 2, FIRST_ROOM = 64 };

wg_kv_cache *wg_kv_cache_new(int64_t capacity)
{
    if (capacity < 1) {
        wg_raise(WG_EARG, "kv_cache: a capacity of %lld should be positive", (long long)capacity);
        return NULL;
    }
    wg_kv_cache *c = calloc(1, sizeof *c);
    if (c)
        c->capacity = capacity;
    else
        wg_raise(WG_EMEM, "kv_cache: out of memory");
    return c;
}

void wg_kv_cache_free(wg_kv_cache *c)
{
    if (!c) return;
    for (int64_t i = 0; i < c->n; i++) {
        wg_set(&c->slots[i].k, NULL);
        wg_set(&c->slots[i].v, NULL);
    }
    free(c->slots);
    free(c);
}

static kv_slot *find(const wg_kv_cache *c, const wg_module *m)
{
    for (int64_t i = 0; i < c->n; i++)
        if (c->slots[i].module == m) return &c->slots[i];
    return NULL;
}

static kv_slot *find_or_add(wg_kv_cache *c, const wg_module *m)
{
    kv_slot *s = find(c, m);
    if (s) return s;
    if (c->n == c->slots_capacity) {
        int64_t more = c->slots_capacity ? 2 * c->slots_capacity : 16;
        kv_slot *slots = realloc(c->slots, (size_t)more * sizeof *slots);
        if (!slots) {
            wg_raise(WG_EMEM, "kv_append: out of memory");
            return NULL;
        }
        c->slots = slots;
        c->slots_capacity = more;
    }
    c->slots[c->n] = (kv_slot) { .module = m };
    return &c->slots[c->n++];
}

/* x fits rows of `like` (NULL: anything does): the same but for the positions. */
static bool fits(const wg_tensor *x, const wg_tensor *like, int64_t positions)
{
    wg_dims a = wg_shape(x);
    if (a.n != 4 || a.d[TIME] != positions) return false;
    if (!like) return true;
    wg_dims b = wg_shape(like);
    return a.d[0] == b.d[0] && a.d[1] == b.d[1] && a.d[3] == b.d[3] &&
           wg_dtype_of(x) == wg_dtype_of(like);
}

/* Makes *store hold `room` positions, with its first `length` kept. */
static wg_status grow(wg_tensor **store, wg_tensor *like, int64_t length, int64_t room)
{
    wg_dims shape = wg_shape(like);
    shape.d[TIME] = room;
    wg_use_device(wg_device_of(like));
    wg_tensor *more = wg_empty(shape, wg_dtype_of(like));
    (void)!wg_assign(more, wg_zeros(WG_DIMS())); /* wg_kv_reorder copies what is empty, too */
    if (length &&
        wg_assign(wg_narrow(more, TIME, 0, length), wg_narrow(*store, TIME, 0, length)) != WG_OK)
        return wg_error_code();
    if (wg_error_code() == WG_OK) wg_set(store, more);
    return wg_error_code();
}

static wg_status append(wg_kv_cache *c, kv_slot *s, wg_tensor *k, wg_tensor *v, int64_t fresh)
{
    const int64_t length = s->length + fresh;
    const int64_t have = s->v ? wg_size(s->v, TIME) : 0; /* the one that grows last */
    if (length > have) {
        int64_t room = 2 * have > FIRST_ROOM ? 2 * have : FIRST_ROOM;
        if (room < length) room = length;
        if (room > c->capacity) room = c->capacity;
        if (grow(&s->k, k, s->length, room) != WG_OK || grow(&s->v, v, s->length, room) != WG_OK)
            return wg_error_code();
    }
    if (wg_assign(wg_narrow(s->k, TIME, s->length, fresh), k) != WG_OK ||
        wg_assign(wg_narrow(s->v, TIME, s->length, fresh), v) != WG_OK)
        return wg_error_code();
    s->length = length;
    return WG_OK;
}

wg_status wg_kv_append(wg_kv_cache *c, const wg_module *m, wg_tensor **k, wg_tensor **v)
{
    if (wg_error_code() != WG_OK)
        return wg_error_code(); /* a failed step must not leave its rows behind */
    if (!c || !m || !k || !v || !*k || !*v || wg_is_error(*k) || wg_is_error(*v))
        return wg_raise(WG_EARG, "kv_append: the cache, the module, k or v is NULL");
    if (wg_grad_is_on())
        return wg_raise(WG_EGRAD, "kv_append: a cache needs gradients off: wg_use_grad(false)");
    kv_slot *s = find_or_add(c, m);
    if (!s) return WG_EMEM;
    const int64_t fresh = wg_ndim(*k) == 4 ? wg_size(*k, TIME) : -1;
    if (!fits(*k, s->k, fresh) || !fits(*v, s->v, fresh))
        return wg_raise(
            WG_ESHAPE,
            "kv_append: k and v should be (B, H, T, D), with B, H, D and dtype as before");
    if (fresh > c->capacity - s->length)
        return wg_raise(WG_EARG, "kv_append: the cache is full: %lld of %lld positions, %lld more",
                        (long long)s->length, (long long)c->capacity, (long long)fresh);
    wg_scope scope = wg_scope_push();
    wg_status status = append(c, s, *k, *v, fresh);
    wg_scope_return(scope, NULL);
    if (status != WG_OK) return status;
    *k = wg_narrow(s->k, TIME, 0, s->length);
    *v = wg_narrow(s->v, TIME, 0, s->length);
    return wg_error_code();
}

int64_t wg_kv_length(const wg_kv_cache *c, const wg_module *m)
{
    if (!c) return 0;
    if (m) {
        const kv_slot *s = find(c, m);
        return s ? s->length : 0;
    }
    int64_t shortest = c->n ? c->slots[0].length : 0;
    for (int64_t i = 1; i < c->n; i++)
        if (c->slots[i].length < shortest) shortest = c->slots[i].length;
    return shortest;
}

void wg_kv_truncate(wg_kv_cache *c, int64_t length)
{
    if (!c || length < 0) {
        wg_raise(WG_EARG, "kv_truncate: the cache is NULL or the length negative");
        return;
    }
    for (int64_t i = 0; i < c->n; i++)
        if (c->slots[i].length > length) c->slots[i].length = length;
}

wg_status wg_kv_reorder(wg_kv_cache *c, wg_tensor *rows)
{
    if (wg_error_code() != WG_OK) return wg_error_code();
    if (!c || !rows || wg_is_error(rows) || wg_ndim(rows) != 1)
        return wg_raise(WG_EARG, "kv_reorder: the cache is NULL, or rows are not (B)");
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    for (int64_t i = 0; i < c->n; i++) {
        kv_slot *slot = &c->slots[i];
        wg_tensor *k = wg_index_select(slot->k, 0, rows), *v = wg_index_select(slot->v, 0, rows);
        if (wg_error_code() != WG_OK) break; /* of the first slot: rows fit all or none */
        wg_set(&slot->k, k);
        wg_set(&slot->v, v);
    }
    wg_scope_return(s, NULL);
    return wg_error_code();
}
