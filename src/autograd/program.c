#include "autograd/program.h"

#include <stdlib.h>

#include "autograd/node.h"
#include "ops/registry.h"
#include "wengert/ops.h"

/* ---- growing arrays ------------------------------------------------------------------------------------------------ */
enum { STEP, VALUE, OPERAND, ATTR };

/* Room for `more` after n elements of `size` bytes in array `which`, which may move. */
static bool make_room(wgi_program *p, int which, void *array, int64_t n, int64_t more, size_t size)
{
    if (n + more <= p->room[which]) return true;
    int64_t room = p->room[which] ? 2 * p->room[which] : 32;
    if (room < n + more) room = n + more;
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    if (!(grown = wgi_realloc(old, (size_t)room * size))) {
        wg_raise(WG_EMEM, "fuse: out of memory");
        return false;
    }
    memcpy(array, &grown, sizeof grown);
    p->room[which] = room;
    return true;
}

void wgi_program_free(wgi_program *p)
{
    for (int64_t i = 0; i < p->values; i++) {
        wgi_storage_unref(p->value[i].storage);
        wgi_unref(p->value[i].holds);
    }
    free(p->step);
    free(p->value);
    free(p->operand);
    free(p->attr);
    *p = (wgi_program) { 0 };
}

/* ---- values -------------------------------------------------------------------------------------------------------- */
/* The value whose memory t shows; -1: none. */
static int find(const wgi_program *p, const wg_tensor *t)
{
    for (int64_t i = p->values - 1; i >= 0; i--)
        if (p->value[i].storage == t->storage) return (int)i;
    return -1;
}

/* As long as the program is there the storage is, so that its address means nothing else. */
static wgi_value *add_value(wgi_program *p, const wg_tensor *t)
{
    if (!make_room(p, VALUE, &p->value, p->values, 1, sizeof *p->value)) return NULL;
    wgi_value *v = &p->value[p->values++];
    *v = (wgi_value) { .storage = t->storage, .first = (int)p->steps };
    wgi_storage_ref(v->storage);
    return v;
}

int wgi_program_bind(wgi_program *p, const wg_tensor *t)
{
    const int known = find(p, t);
    return known >= 0 ? known : add_value(p, t) ? (int)p->values - 1 : -1;
}

wg_status wgi_program_constant(wgi_program *p, const wg_tensor *twin, wg_tensor *t)
{
    wgi_value *v = add_value(p, twin);
    if (!v) return wg_error_code();
    v->constant = wgi_data(t);
    v->holds = wgi_ref(t);
    return WG_OK;
}

/* A weak scalar is no twin: it is read where it lies. */
static int constant_of(wgi_program *p, const wg_tensor *t)
{
    wgi_value *v = add_value(p, t);
    if (!v) return -1;
    v->constant = t->storage->data;
    return (int)p->values - 1;
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */
static wgi_operand *add_operand(wgi_program *p, const wg_tensor *t, int value)
{
    if (!make_room(p, OPERAND, &p->operand, p->operands, 1, sizeof *p->operand)) return NULL;
    wgi_operand *o = &p->operand[p->operands++];
    memset(o, 0, sizeof *o);
    o->value = value;
    if (!t) return o;
    o->like = *t;
    o->like.node = NULL;
    o->like.cast_copy = NULL;
    o->like.device = wg_cpu();
    return o;
}

static wg_status add_input(wgi_program *p, const wg_tensor *t)
{
    int v = t ? find(p, t) : -1;
    if (t && v < 0 && t->device.kind == WG_CPU && (v = constant_of(p, t)) < 0)
        return wg_error_code();
    if (t && v < 0)
        return wg_raise(WG_EARG,
                        "is given what no op has made; a fused function may only compose ops");
    return add_operand(p, t, v) ? WG_OK : wg_error_code();
}

static wg_status add_output(wgi_program *p, const wg_tensor *t)
{
    int v = t ? find(p, t) : -1;
    if (t && v < 0) {
        wgi_value *made = add_value(p, t);
        if (!made) return wg_error_code();
        made->made = true;
        v = (int)p->values - 1;
    }
    return add_operand(p, t, v) ? WG_OK : wg_error_code();
}

static wg_status add_step(wgi_context *c, const wg_op *op, const void *attr, wg_list in,
                          wg_list out, bool accumulate)
{
    wgi_program *p = c->program;
    const int64_t size = ((int64_t)op->attr_size + 15) & ~(int64_t)15;
    if (!make_room(p, STEP, &p->step, p->steps, 1, sizeof *p->step)) return wg_error_code();
    if (attr && !make_room(p, ATTR, &p->attr, p->attrs, size, 1)) return wg_error_code();
    wgi_step s = { .op = op,
                   .kernel = wgi_kernel_for(op, wg_cpu()),
                   .attr = attr ? (size_t)p->attrs : SIZE_MAX,
                   .first = (int)p->operands,
                   .n_in = (int)in.n,
                   .n_out = (int)out.n,
                   .accumulate = accumulate,
                   .file = c->file,
                   .line = c->line };
    if (!s.kernel) return wg_raise(WG_EDEVICE, "no cpu kernel");
    if (attr) {
        memcpy(p->attr + p->attrs, attr, op->attr_size);
        p->attrs += size;
    }
    for (int64_t i = 0; i < in.n; i++)
        if (add_input(p, in.t[i]) != WG_OK) return wg_error_code();
    for (int64_t j = 0; j < out.n; j++)
        if (add_output(p, out.t[j]) != WG_OK) return wg_error_code();
    p->step[p->steps++] = s;
    return WG_OK;
}

/* A row that wants contiguous inputs gets copies, as from the door. */
wg_status wgi_program_note(wgi_context *c, const wg_op *op, const void *attr, wg_list in,
                           wg_list out, bool accumulate)
{
    if (!(op->flags & WG_OP_CONTIGUOUS)) return add_step(c, op, attr, in, out, accumulate);
    wg_list to = wg_list_new(in.n);
    if (in.n && !to.t) return wg_error_code();
    for (int64_t i = 0; i < in.n; i++) {
        wg_tensor *t = to.t[i] = in.t[i];
        if (!t || wgi_is_contiguous(t)) continue;
        const wg_dims shape = wgi_shape(t);
        to.t[i] = wgi_tensor_new_at(c, (wg_dtype)t->dtype, t->device, &shape);
        if (wgi_bad(to.t[i])) return wg_error_code();
        const wg_status s = add_step(c, &wgi_op_contiguous, NULL, (wg_list) { 1, &t },
                                     (wg_list) { 1, &to.t[i] }, false);
        if (s != WG_OK) return s;
    }
    return add_step(c, op, attr, to, out, accumulate);
}

int wgi_program_result(wgi_program *p, const wg_tensor *t)
{
    if (add_input(p, t) != WG_OK) return -1;
    return (int)p->operands - 1;
}

/* ---- what is needed, and where it lies ----------------------------------------------------------------------------- */
static void need(wgi_program *p, int operand, int step)
{
    const int v = p->operand[operand].value;
    if (v < 0) return;
    wgi_value *value = &p->value[v];
    if (!value->used || step > value->last) value->last = step;
    value->used = true;
}

/* From the last step to the first: one is needed if something that it writes is. */
static void find_needed(wgi_program *p, const int *result, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        if (result[k] >= 0) need(p, result[k], (int)p->steps);
    for (int64_t i = p->steps - 1; i >= 0; i--) {
        wgi_step *s = &p->step[i];
        for (int j = s->n_in; j < s->n_in + s->n_out; j++) {
            const int v = p->operand[s->first + j].value;
            s->used |= v >= 0 && p->value[v].used;
        }
        for (int j = 0; s->used && j < s->n_in + s->n_out; j++) need(p, s->first + j, (int)i);
    }
}

static bool together(const wgi_value *a, const wgi_value *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Apart by one line more than a multiple of the size, so that not all begin in one set of the cache. */
static size_t bytes_of(const wgi_value *v)
{
    return ((v->storage->bytes + 63) & ~(size_t)63) + 64;
}

/* Whether a may not lie at `at` because of b. What they share they share as a whole, element by element: chains run strip
 * by strip (chain.c), so that a part of a is there while another part of b is still to be read. */
static bool in_the_way(const wgi_value *a, size_t at, const wgi_value *b)
{
    if (!b->made || !b->used) return false;
    if (at + bytes_of(a) <= b->at || b->at + bytes_of(b) <= at) return false;
    return together(a, b) || at != b->at || a->storage->bytes != b->storage->bytes;
}

/* The lowest place for value v among those before it. */
static size_t lowest_place(const wgi_program *p, int64_t v)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int64_t i = 0; i < v; i++) {
            const wgi_value *b = &p->value[i];
            if (!in_the_way(&p->value[v], at, b)) continue;
            at = b->at + bytes_of(b);
            moved = true;
        }
    }
    return at;
}

void wgi_program_close(wgi_program *p, const int *result, int64_t n)
{
    find_needed(p, result, n);
    for (int64_t v = 0; v < p->values; v++) {
        if (!p->value[v].made || !p->value[v].used) continue;
        p->value[v].at = lowest_place(p, v);
        const size_t end = p->value[v].at + bytes_of(&p->value[v]);
        if (end > p->block) p->block = end;
    }
}
