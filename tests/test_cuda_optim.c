/* Optimizers on CUDA: the table that the host makes, on any machine; steps against the CPU's, where there is a device. */
#include "cuda/update.h"
#include "scaler_check.h"
#include "tensor/internal.h"

/* ---- the table ------------------------------------------------------------------------------------------------- */
static wgi_update_table table;

static void clear_table(void)
{
    table.n = 0;
    table.chunks = 0;
}

static wgi_update_entry entry_of_size(int64_t n, uintptr_t address, wg_dtype t)
{
    return (wgi_update_entry) { .n = n,
                                .data[WGI_UPDATE_P] = (void *)address,
                                .type[WGI_UPDATE_P] = (uint8_t)t };
}

/* How often each element of each entry is reached by a chunk, as the kernel walks them. */
static void count_elements(unsigned char *const *seen)
{
    for (int64_t c = 0; c < table.chunks; c++) {
        const int at = wgi_update_entry_of(&table, c);
        const wgi_update_entry *e = &table.entry[at];
        const int64_t first = (c - e->first) * WGI_UPDATE_CHUNK;
        ck_assert_int_ge(first, 0);
        ck_assert_int_lt(first, e->n);
        for (int64_t i = first; i < e->n && i < first + WGI_UPDATE_CHUNK; i++) seen[at][i]++;
    }
}

START_TEST(chunks_hold_every_element_of_every_tensor_once)
{
    static const int64_t sizes[] = {
        0, 1, 7, 16383, 16384, 16385, 0, 32768, 50000, 50001, 3, 0, 0
    };
    unsigned char *seen[WGI_UPDATE_ENTRIES];
    clear_table();
    for (int i = 0; i < WGI_UPDATE_ENTRIES; i++) {
        const wgi_update_entry e = entry_of_size(sizes[i % 13], 64, WG_F32);
        ck_assert(wgi_update_add(&table, &e));
        seen[i] = calloc((size_t)e.n + 1, 1);
        ck_assert_ptr_nonnull(seen[i]);
    }
    const wgi_update_entry more = entry_of_size(5, 64, WG_F32);
    ck_assert(!wgi_update_add(&table, &more)); /* full: unchanged */
    ck_assert_int_eq(table.n, WGI_UPDATE_ENTRIES);
    count_elements(seen);
    for (int i = 0; i < WGI_UPDATE_ENTRIES; i++) {
        for (int64_t k = 0; k < table.entry[i].n; k++) ck_assert_int_eq(seen[i][k], 1);
        free(seen[i]);
    }
}
END_TEST

START_TEST(tensors_beyond_32_bits_are_cut_in_64)
{
    clear_table();
    const int64_t n = INT64_C(5) << 32;
    const wgi_update_entry large = entry_of_size(n, 64, WG_F32),
                           small = entry_of_size(9, 64, WG_F32);
    wgi_update_add(&table, &large);
    wgi_update_add(&table, &small);
    ck_assert_int_eq(table.chunks, n / WGI_UPDATE_CHUNK + 1);
    ck_assert_int_eq(wgi_update_entry_of(&table, n / WGI_UPDATE_CHUNK - 1), 0);
    ck_assert_int_eq(wgi_update_entry_of(&table, n / WGI_UPDATE_CHUNK), 1);
}
END_TEST

START_TEST(only_aligned_f32_is_plain)
{
    static const struct {
        uintptr_t p, low;
        wg_dtype p_type, low_type;
        bool plain;
    } cases[] = { { 64, 0, WG_F32, WG_F32, true },   { 64, 128, WG_F32, WG_BF16, true },
                  { 68, 0, WG_F32, WG_F32, false },  { 64, 136, WG_F32, WG_F16, false },
                  { 64, 0, WG_BF16, WG_F32, false }, { 64, 0, WG_F64, WG_F32, false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clear_table();
        wgi_update_entry e = entry_of_size(10, cases[i].p, cases[i].p_type);
        e.data[WGI_UPDATE_LOW] = (void *)cases[i].low;
        e.type[WGI_UPDATE_LOW] = (uint8_t)cases[i].low_type;
        ck_assert(wgi_update_add(&table, &e));
        ck_assert_msg(table.entry[0].plain == cases[i].plain, "case %zu", i);
    }
}
END_TEST

/* ---- steps, where there is a device -------------------------------------------------------------------------- */
static bool no_device(void)
{
    if (wg_cuda_device_count() > 0) return false;
    printf("skipped: no CUDA device\n");
    return true;
}

static wg_module *new_row(wg_device d)
{
    wg_seed(1234);
    wg_module *m = wg_module_new(&row_type, NULL);
    wg_module_to(m, d);
    return m;
}

static void give_same(wg_module *m, uint64_t seed)
{
    const wg_params p = wg_module_params(m);
    wg_seed(seed);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *t = p.p[i].tensor, *g = wg_cast(wg_randn(wg_shape(t)), wg_dtype_of(t));
        wg_set_grad(t, wg_to(g, wg_device_of(t)));
    }
}

START_TEST(steps_are_the_cpus)
{
    if (no_device()) return;
    for (int i = 0; i < MAKERS; i++) {
        const wg_scope s = begin();
        wg_module *a = new_row(wg_cuda(0)), *b = new_row(wg_cpu());
        wg_optim *one = makers[i](a), *two = makers[i](b);
        for (uint64_t k = 1; k <= 3; k++) {
            give_same(a, k);
            give_same(b, k);
            const double norm = wg_item(wg_optim_step_clipped(one, 100));
            ck_assert_double_eq_tol(norm, wg_item(wg_optim_step_clipped(two, 100)), 1e-4);
        }
        expect_no_error();
        const wg_params p = wg_module_params(a), q = wg_module_params(b);
        for (int64_t j = 0; j < p.n; j++) {
            if (wg_numel(p.p[j].tensor) == 0) continue;
            const double far = distance(wg_to(p.p[j].tensor, wg_cpu()), q.p[j].tensor);
            ck_assert_msg(far < 1e-5, "optimizer %d, %s: %g", i, p.p[j].name, far);
        }
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

START_TEST(a_clipped_step_has_the_bits_of_clipping_and_stepping_on_the_device)
{
    if (no_device()) return;
    for (int i = 0; i < MAKERS; i++) {
        const wg_scope s = begin();
        wg_module *a = new_row(wg_cuda(0)), *b = new_row(wg_cuda(0));
        wg_optim *one = makers[i](a), *two = makers[i](b);
        for (uint64_t k = 1; k <= 2; k++) {
            give_same(a, k);
            give_same(b, k);
            wg_tensor *norm = wg_optim_step_clipped(one, 1), *apart = wg_clip_grad_norm(two, 1);
            ck_assert_int_eq(wg_optim_step(two), WG_OK);
            ck_assert(same_bits(norm, apart));
            expect_same_parameters(a, b, "clipped on the device");
        }
        wg_optim_free(one);
        wg_optim_free(two);
        wg_module_free(a);
        wg_module_free(b);
        pop(s);
    }
}
END_TEST

/* More parameters than a table has entries, as each alone. */
typedef struct {
    wg_module base;
    wg_tensor *p[WGI_UPDATE_ENTRIES + 50];
} many;

static void many_init(wg_module *m, const void *config)
{
    many *self = (many *)m;
    (void)config;
    for (int i = 0; i < WGI_UPDATE_ENTRIES + 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        wg_param(m, name, &self->p[i], wg_randn(WG_DIMS(i % 37)));
    }
}

static const wg_module_type many_type = { .name = "many", .size = sizeof(many), .init = many_init };

START_TEST(more_parameters_than_a_table_holds_step_too)
{
    if (no_device()) return;
    const wg_scope s = begin();
    wg_module *m[2];
    double norm[2];
    for (int i = 0; i < 2; i++) {
        wg_seed(3);
        m[i] = wg_module_new(&many_type, NULL);
        wg_module_to(m[i], i ? wg_cpu() : wg_cuda(0));
        wg_optim *o = adamw(m[i]);
        give_same(m[i], 9);
        norm[i] = wg_item(wg_optim_step_clipped(o, 1));
        wg_optim_free(o);
    }
    ck_assert_double_eq_tol(norm[0], norm[1], 1e-4);
    const wg_params p = wg_module_params(m[0]), q = wg_module_params(m[1]);
    for (int64_t j = 0; j < p.n; j++)
        ck_assert(wg_numel(p.p[j].tensor) == 0 ||
                  distance(wg_to(p.p[j].tensor, wg_cpu()), q.p[j].tensor) < 1e-6);
    wg_module_free(m[0]);
    wg_module_free(m[1]);
    pop(s);
}
END_TEST

START_TEST(a_loss_scale_keeps_its_promises_on_the_device)
{
    if (no_device()) return;
    scaled_steps_are_steps(wg_cuda(0));
    overflow_leaves_no_trace(wg_cuda(0), (double)INFINITY);
    the_scale_grows_and_backs_off(wg_cuda(0));
    training_finds_its_scale(wg_cuda(0));
}
END_TEST

START_TEST(the_copies_of_autocast_are_written_on_the_device)
{
    if (no_device()) return;
    static const wg_dtype low[] = { WG_BF16, WG_F16 };
    for (int i = 0; i < 2; i++) {
        const wg_scope s = begin();
        wg_use_device(wg_cuda(0));
        wg_module *m = wg_linear_new(130, 127);
        wg_optim *o = adamw(m);
        wg_tensor *w = param(m, "weight");
        for (int k = 0; k < 3; k++) {
            const wg_scope inner = wg_scope_push();
            wg_use_autocast(low[i]);
            wg_backward(wg_sum(wg_square(wg_forward(m, wg_ones(WG_DIMS(3, 130)))), WG_ALL, false));
            pop(inner);
            ck_assert_int_eq(wg_optim_step(o), WG_OK);
            ck_assert_uint_eq(w->cast_version, w->storage->version);
            const wg_scope other = wg_scope_push(); /* no view of w may be left */
            ck_assert(same_bits(w->cast_copy, wg_cast(wg_detach(w), low[i])));
            pop(other);
        }
        wg_optim_free(o);
        wg_module_free(m);
        pop(s);
    }
}
END_TEST

int main(void)
{
    return suite_run(
        "cuda_optim",
        (const TTest *[]) { chunks_hold_every_element_of_every_tensor_once,
                            tensors_beyond_32_bits_are_cut_in_64, only_aligned_f32_is_plain,
                            steps_are_the_cpus,
                            a_clipped_step_has_the_bits_of_clipping_and_stepping_on_the_device,
                            more_parameters_than_a_table_holds_step_too,
                            a_loss_scale_keeps_its_promises_on_the_device,
                            the_copies_of_autocast_are_written_on_the_device, NULL });
}
