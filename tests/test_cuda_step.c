/* What a training step of GPT-2 launches on CUDA, counted on the emulated device: nothing is cast back and forth, nothing is
 * computed by an elementwise kernel that a product or a norm does on its way. */
#include "suite.h"

/* Of the emulation: see tests/emulation/launches.cpp. */
int64_t emulation_launches(const char *name);
const char *emulation_launched(int i, int64_t *count);

enum { B = 2, T = 16, VOCAB = 50, MOST = 64 };

typedef struct {
    char name[MOST][32];
    int64_t count[MOST], casts;
    int n;
} launches;

static void step(wg_module *model, wg_optim *o)
{
    wg_scope s = wg_scope_push();
    wg_use_autocast(WG_BF16);
    int64_t ids[B * T];
    for (int i = 0; i < B * T; i++) ids[i] = i * 7 % VOCAB;
    wg_tensor *x = wg_from(ids, sizeof ids, WG_I64, WG_DIMS(B, T));
    wg_backward(wg_transformer_loss(model, x, x));
    wg_optim_step_clipped(o, 1.0);
    wg_scope_return(s, NULL);
}

/* Of the third step, where the optimizer's state and the parameters' 16-bit copies are there. */
static launches of_step(int layers)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_cuda(0));
    wg_seed(5);
    wg_transformer_config c = wg_gpt2_config(layers, 2, 128, VOCAB, T);
    wg_module *model = wg_transformer_new(&c);
    wg_optim *o = wg_adamw_new(model, .lr = 1e-3);
    wg_module_train(model, true);
    step(model, o);
    step(model, o);
    emulation_launches(NULL);
    ck_assert_int_eq(wg_profile_start(0), WG_OK);
    step(model, o);
    const wg_profile p = wg_profile_stop();
    launches l = { .n = 0 };
    for (const char *name; l.n < MOST && (name = emulation_launched(l.n, &l.count[l.n])); l.n++)
        snprintf(l.name[l.n], sizeof l.name[l.n], "%s", name);
    for (int64_t i = 0; i < p.n; i++)
        if (strcmp(p.row[i].op, "cast") == 0) l.casts += p.row[i].calls;
    ck_assert_msg(!wg_error_code(), "%s", wg_error_get()->message);
    wg_optim_free(o);
    wg_module_free(model);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
    return l;
}

static int64_t count_of(const launches *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->name[i], name) == 0) return l->count[i];
    return 0;
}

/* name, how often a layer more launches it */
static const struct {
    const char *name;
    int64_t count;
} of_a_layer[] = {
    { "product",
      12 }, /* four, each with two gradients; biases, GELU and its slope in their epilogues */
    { "attention", 3 },   /* forward, dq, dk and dv */
    { "rows_kernel", 1 }, /* what attention's gradient needs of each row */
    { "forward", 2 },     /* norms */
    { "backward", 2 },    /* their gradients, added to the residual's */
    { "sum_blocks", 2 },  /* of their weights and biases */
};
enum { KINDS = sizeof of_a_layer / sizeof *of_a_layer };

START_TEST(a_layer_launches_what_it_needs)
{
    const launches two = of_step(2), three = of_step(3);
    ck_assert_int_eq(two.casts, 0);
    int64_t more = 0, wanted = 0;
    for (int k = 0; k < KINDS; k++) {
        const int64_t got =
            count_of(&three, of_a_layer[k].name) - count_of(&two, of_a_layer[k].name);
        ck_assert_msg(got == of_a_layer[k].count, "%s: %lld a layer, want %lld", of_a_layer[k].name,
                      (long long)got, (long long)of_a_layer[k].count);
        wanted += got;
    }
    for (int i = 0; i < three.n; i++) more += three.count[i];
    for (int i = 0; i < two.n; i++) more -= two.count[i];
    ck_assert_int_eq(more, wanted); /* no other kernel */
}
END_TEST

START_TEST(the_loss_has_one_kernel_for_its_rows_and_three_products)
{
    const launches one = of_step(1), two = of_step(2);
    ck_assert_int_eq(count_of(&one, "class_rows"), 1);
    ck_assert_int_eq(2 * count_of(&one, "product") - count_of(&two, "product"), 3);
}
END_TEST

int main(void)
{
    return suite_run("cuda_step",
                     (const TTest *[]) { a_layer_launches_what_it_needs,
                                         the_loss_has_one_kernel_for_its_rows_and_three_products,
                                         NULL });
}
