/* What a training step of GPT-2 holds at its peak, against a count by hand. */

#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

enum { LAYERS = 4, HEADS = 4, WIDTH = 64, VOCAB = 256, BATCH = 4, TIME = 128 };

static wg_module *model;
static wg_optim *optimizer;

/* ---- what is alive, by shape and line ---------------------------------------------------------- */

enum { GROUPS = 64, STORAGES = 4096 };
typedef struct {
    char what[320]; /* shape, dtype, the line that made it */
    int64_t n, bytes;
} group;
typedef struct {
    group groups[GROUPS];
    const wgi_storage *seen[STORAGES]; /* a storage counts once, by its youngest tensor */
    int n, n_seen;
    int64_t bytes;
} census;

static void count_tensor(void *self, const wg_tensor *t)
{
    census *c = self;
    for (int i = 0; i < c->n_seen; i++)
        if (c->seen[i] == t->storage) return;
    if (c->n_seen < STORAGES) c->seen[c->n_seen++] = t->storage;
    char text[256], what[320];
    wgi_tensor_text(text, sizeof text, t);
    snprintf(what, sizeof what, "%s made at %.40s:%d", text, t->file ? t->file : "?", t->line);
    int g = 0;
    while (g < c->n && strcmp(c->groups[g].what, what)) g++;
    if (g == GROUPS) return;
    if (g == c->n) c->groups[c->n++] = (group) { 0 };
    strcpy(c->groups[g].what, what);
    c->groups[g].n++;
    c->groups[g].bytes += (int64_t)t->storage->bytes;
    c->bytes += (int64_t)t->storage->bytes;
}

static int by_bytes(const void *a, const void *b)
{
    const group *x = a, *y = b;
    return x->bytes == y->bytes ? 0 : x->bytes > y->bytes ? -1 : 1;
}

/* Everything that the step has made and that waits for backward, the largest first. */
static int64_t print_census(int most)
{
    static census c;
    c = (census) { 0 };
    wgi_live_each(count_tensor, &c);
    qsort(c.groups, (size_t)c.n, sizeof *c.groups, by_bytes);
    for (int g = 0; g < c.n && g < most; g++)
        printf("%10lld bytes in %2lld: %s\n", (long long)c.groups[g].bytes,
               (long long)c.groups[g].n, c.groups[g].what);
    return c.bytes;
}

static int64_t waiting; /* bytes alive before backward, of what the step made */

static void step_shown(int groups)
{
    wg_scope s = wg_scope_push();
    wgi_live_list(groups > 0);
    wg_tensor *x = wg_randint(0, VOCAB, WG_DIMS(BATCH, TIME)),
              *y = wg_randint(0, VOCAB, WG_DIMS(BATCH, TIME));
    wg_tensor *loss = wg_transformer_loss(model, x, y);
    wgi_live_list(false);
    if (groups > 0) waiting = print_census(groups);
    wg_backward(loss);
    wg_clip_grad_norm(optimizer, 1.0);
    wg_optim_step(optimizer);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}

static void step(void)
{
    step_shown(0);
}

static int64_t parameters(void)
{
    wg_scope s = wg_scope_push();
    wg_params p = wg_module_params(model);
    int64_t n = 0;
    for (int64_t i = 0; i < p.n; i++) n += wg_numel(p.p[i].tensor);
    wg_scope_return(s, NULL);
    return n;
}

/* Bytes at the start of backward, when everything that the forward pass saved is alive and no gradient is made yet but
 * that of the logits. Per token and layer, in units of C = WIDTH floats: the stream into ln_1 (1), its result (1), q, k, v
 * (3), attention's result (1), the stream into ln_2 (1), its result (1), c_fc's result (4), GELU's (4): 16. Besides two statistics a norm, and one a head. */
static int64_t counted_by_hand(void)
{
    int64_t tokens = BATCH * TIME, p = parameters();
    int64_t layer = 16 * WIDTH + 4 + HEADS;
    int64_t head = 2 * WIDTH + 2 +
                   2 * VOCAB; /* the stream into ln_f and its result, logits and their gradient */
    int64_t ids = 2 * 8 * tokens;
    return 4 * (3 * p + tokens * (LAYERS * layer + head)) + ids;
}

START_TEST(a_steps_peak_is_the_count_by_hand)
{
    wg_seed(1);
    wg_transformer_config c = wg_gpt2_config(LAYERS, HEADS, WIDTH, VOCAB, TIME);
    model = wg_transformer_new(&c);
    optimizer = wg_adamw_new(model, .lr = 1e-3);
    ck_assert_ptr_nonnull(optimizer);
    int64_t before = wg_memory_stats(wg_cpu()).current;
    step();
    int64_t state = wg_memory_stats(wg_cpu()).current;
    for (int i = 0; i < 3; i++) {
        wg_memory_reset_peak(wg_cpu());
        step();
        ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, state);
        double peak = (double)wg_memory_stats(wg_cpu()).peak, want = (double)counted_by_hand();
        if (i == 0)
            printf("peak of a step: %.0f bytes, %.0f counted by hand (%+.1f%%)\n", peak, want,
                   100 * (peak / want - 1));
        if (peak >= 1.05 * want) step_shown(GROUPS); /* where it comes from */
        ck_assert_msg(peak < 1.05 * want && peak > 0.95 * want,
                      "%.0f bytes at the peak, %.0f counted by hand", peak, want);
    }
    ck_assert_int_eq(state - before, 8 * parameters()); /* AdamW's two moments */
    /* The list behind such a failure: all but the parameters, their gradients and state, and the
     * logits' gradient. */
    step_shown(6);
    const double made = (double)(counted_by_hand() - 4 * (3 * parameters() + BATCH * TIME * VOCAB));
    ck_assert_msg((double)waiting < 1.05 * made && (double)waiting > 0.95 * made,
                  "%lld bytes are listed, %.0f counted by hand", (long long)waiting, made);
    wg_optim_free(optimizer);
    wg_module_free(model);
}
END_TEST

START_TEST(ten_thousand_steps_leave_memory_where_it_was)
{
    wg_transformer_config c = wg_gpt2_config(1, 1, 8, 16, 8);
    wg_module *small = wg_transformer_new(&c);
    wg_optim *o = wg_adamw_new(small, .lr = 1e-3);
    int64_t after_first = 0;
    for (int i = 0; i < 10000; i++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x = wg_randint(0, 16, WG_DIMS(2, 8));
        wg_backward(wg_transformer_loss(small, x, x));
        wg_optim_step(o);
        ck_assert_int_eq(wg_scope_pop(s), WG_OK);
        if (i == 0) after_first = wg_memory_stats(wg_cpu()).current;
    }
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, after_first);
    wg_optim_free(o);
    wg_module_free(small);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_steps_peak_is_the_count_by_hand,
        ten_thousand_steps_leave_memory_where_it_was,
        NULL,
    };
    return suite_run("step memory", tests);
}
