/* Data in and out: wg_from, wg_wrap, wg_read, wg_assign, wg_item, wg_data. */
#include <limits.h>

#include "suite.h"
#include "tensor/internal.h"

static wg_tensor *floats(const float *v, wg_dims shape)
{
    return wg_from(v, (size_t)wgi_numel(&shape) * sizeof *v, WG_F32, shape);
}

static wg_tensor *counted(wg_dims shape) /* 0, 1, 2, ... */
{
    wg_tensor *t = wgi_tensor_new(wgi_ctx(), WG_F32, wg_cpu(), shape);
    float *p = wgi_data(t);
    for (int64_t i = 0; i < t->numel; i++) p[i] = (float)i;
    return t;
}

static wg_tensor *transposed(wg_tensor *t)
{
    wg_dims shape = WG_DIMS(t->shape[1], t->shape[0]),
            strides = WG_DIMS(t->strides[1], t->strides[0]);
    return wgi_tensor_view(wgi_ctx(), t, shape, strides, t->offset);
}

static void expect_floats(wg_tensor *t, int n, const float *want)
{
    float got[64];
    ck_assert_int_eq(wg_read(t, got, (size_t)n * sizeof *got, WG_F32), WG_OK);
    for (int i = 0; i < n; i++)
        ck_assert_msg(got[i] == want[i], "[%d] is %g, not %g", i, got[i], want[i]);
}

START_TEST(from_copies_and_read_gives_back_in_row_major_order)
{
    wg_scope s = wg_scope_push();
    float v[6] = { 1, 2, 3, 4, 5, 6 };
    wg_tensor *t = floats(v, WG_DIMS(2, 3));
    v[0] = 99;
    expect_floats(t, 6, (float[]) { 1, 2, 3, 4, 5, 6 });
    expect_floats(transposed(t), 6, (float[]) { 1, 4, 2, 5, 3, 6 });
    int32_t ints[6];
    ck_assert_int_eq(wg_read(transposed(t), ints, sizeof ints, WG_I32), WG_OK);
    ck_assert_int_eq(ints[1], 4);
    wg_tensor *empty = wg_from(NULL, 0, WG_I64, WG_DIMS(3, 0));
    ck_assert_int_eq(wg_read(empty, NULL, 0, WG_F32), WG_OK);
    ck_assert_ptr_null(wg_data(empty));
    pop(s);
}
END_TEST

START_TEST(from_and_read_refuse_sizes_that_do_not_fit)
{
    float v[6] = { 0 };
    wg_from(v, sizeof v, WG_F32, WG_DIMS(2, 4));
    expect_error(WG_EARG, "from: (2, 4) f32 takes 32 bytes, given 24");
    wg_from(v, sizeof v, WG_F32, WG_DIMS(-6));
    expect_error(WG_ESHAPE, "from: no tensor can have the shape (-6)");
    wg_from(v, sizeof v, WG_F32, WG_DIMS(INT64_MAX, INT64_MAX));
    expect_error(WG_ESHAPE, "from: no tensor can have the shape");
    wg_from(v, sizeof v, WG_F32, WG_ALL);
    expect_error(WG_ESHAPE, "from: no tensor can have the shape (invalid)");
    wg_from(v, sizeof v, (wg_dtype)42, WG_DIMS(6));
    expect_error(WG_EDTYPE, "from: 42 is no dtype");
    wg_from(NULL, sizeof v, WG_F32, WG_DIMS(6));
    expect_error(WG_EARG, "from: data is NULL");
    wg_scope s = wg_scope_push();
    wg_tensor *t = floats(v, WG_DIMS(6));
    ck_assert_int_eq(wg_read(t, v, sizeof v, WG_F64), WG_EARG);
    expect_error(WG_EARG, "read: (6) f64 takes 48 bytes, given 24");
    ck_assert_int_eq(wg_read(t, NULL, sizeof v, WG_F32), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(wg_read(t, (char *)v + 1, sizeof v, WG_F32), WG_EARG);
    expect_error(WG_EARG, "read: data is not aligned for f32");
    pop(s);
}
END_TEST

static int releases;
static void count_release(void *owner)
{
    releases += *(int *)owner;
}

START_TEST(wrap_shares_memory_and_releases_it_once)
{
    float v[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    int one = 1;
    releases = 0;
    wg_scope s = wg_scope_push();
    wg_tensor *t = wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3, 2), WG_DIMS(1, 4), count_release, &one);
    expect_floats(t, 6, (float[]) { 0, 4, 1, 5, 2, 6 });
    v[4] = 40;
    expect_floats(t, 6, (float[]) { 0, 40, 1, 5, 2, 6 });
    wg_tensor *view = wg_ref(transposed(t));
    pop(s);
    ck_assert_int_eq(releases, 0);
    wg_unref(&view);
    ck_assert_int_eq(releases, 1);
    s = wg_scope_push();
    t = wg_wrap(v, sizeof v, WG_F32, WG_DIMS(2, 4), WG_DIMS(), NULL,
                NULL); /* no strides: row-major */
    ck_assert_int_eq(wg_strides(t).d[0], 4);
    ((float *)wg_data_write(t))[0] = 11;
    ck_assert_float_eq(v[0], 11);
    pop(s);
}
END_TEST

START_TEST(wrap_refuses_what_lies_outside_and_does_not_release_it)
{
    float v[8];
    int one = 1;
    releases = 0;
    wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3, 3), WG_DIMS(3, 1), count_release, &one);
    expect_error(WG_EARG, "wrap: the last element lies beyond the 32 bytes given");
    wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3), WG_DIMS(-1), count_release, &one);
    expect_error(WG_EARG, "wrap: stride 0 is negative");
    wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3, 1), WG_DIMS(1), count_release, &one);
    expect_error(WG_ESHAPE, "wrap: 2 sizes and 1 strides");
    wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3), WG_DIMS(INT64_MAX), count_release, &one);
    expect_error(WG_EARG, "wrap: strides overflow");
    wg_wrap((char *)v + 2, sizeof v - 2, WG_F32, WG_DIMS(3), WG_DIMS(1), count_release, &one);
    expect_error(WG_EARG, "wrap: data is not aligned for f32");
    wg_wrap(NULL, 4, WG_F32, WG_DIMS(1), WG_DIMS(1), count_release, &one);
    expect_error(WG_EARG, "wrap: data is NULL");
    for (int n = 1; n < 4; n++) { /* out of memory: the storage, the handle, the scope */
        wgi_fail_alloc_after(n);
        wg_scope s = wg_scope_push();
        wg_tensor *t = wg_wrap(v, sizeof v, WG_F32, WG_DIMS(8), WG_DIMS(1), count_release, &one);
        bool failed = wg_is_error(t);
        wgi_fail_alloc_after(0);
        if (failed) wg_error_clear();
        wg_status status = wg_scope_pop(s);
        wg_error_clear();
        ck_assert_int_eq(releases, !failed && status == WG_OK);
        if (!failed) break;
    }
}
END_TEST

START_TEST(item_takes_exactly_one_element)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = floats((float[]) { 2.5f }, WG_DIMS(1, 1));
    ck_assert_double_eq(wg_item(t), 2.5);
    ck_assert_int_eq(wg_item_int(t), 2);
    int64_t big = (1ll << 53) + 1;
    wg_tensor *i = wg_from(&big, sizeof big, WG_I64, WG_DIMS());
    ck_assert_int_eq(wg_item_int(i), big);
    ck_assert_double_nan(wg_item(counted(WG_DIMS(2))));
    expect_error(WG_ESHAPE, "item: not one element: x (2) f32 cpu");
    ck_assert_int_eq(wg_item_int(counted(WG_DIMS(0))), 0);
    expect_error(WG_ESHAPE, "item_int: not one element: x (0) f32 cpu");
    pop(s);
}
END_TEST

START_TEST(assign_broadcasts_and_casts)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = counted(WG_DIMS(2, 3));
    unsigned version = atomic_load(&t->storage->version);
    int64_t row[3] = { 7, 8, 9 };
    ck_assert_int_eq(wg_assign(t, wg_from(row, sizeof row, WG_I64, WG_DIMS(3))), WG_OK);
    expect_floats(t, 6, (float[]) { 7, 8, 9, 7, 8, 9 });
    ck_assert_uint_eq(atomic_load(&t->storage->version), version + 1);
    ck_assert_str_eq(t->storage->writer, "assign");
    ck_assert_int_eq(wg_assign(transposed(t), floats((float[]) { 1, 2 }, WG_DIMS(2))), WG_OK);
    expect_floats(t, 6, (float[]) { 1, 1, 1, 2, 2, 2 });
    ck_assert_int_eq(wg_assign(t, floats((float[]) { 5 }, WG_DIMS())), WG_OK);
    expect_floats(t, 6, (float[]) { 5, 5, 5, 5, 5, 5 });
    ck_assert_int_eq(wg_assign(floats((float[]) { 5 }, WG_DIMS(1)), t), WG_ESHAPE);
    expect_error(WG_ESHAPE, "assign: shapes do not fit: into (1) f32 cpu, from (2, 3) f32 cpu");
    ck_assert_int_eq(wg_assign(t, counted(WG_DIMS(1, 2, 3))), WG_ESHAPE);
    wg_error_clear();
    pop(s);
}
END_TEST

START_TEST(assign_between_overlapping_views_is_as_if_copied_first)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = counted(WG_DIMS(6));
    wg_tensor *head = wgi_tensor_view(wgi_ctx(), t, WG_DIMS(5), WG_DIMS(1), 0);
    wg_tensor *tail = wgi_tensor_view(wgi_ctx(), t, WG_DIMS(5), WG_DIMS(1), 1);
    ck_assert_int_eq(wg_assign(tail, head), WG_OK);
    expect_floats(t, 6, (float[]) { 0, 0, 1, 2, 3, 4 });
    wg_tensor *square = counted(WG_DIMS(3, 3));
    ck_assert_int_eq(wg_assign(square, transposed(square)), WG_OK);
    expect_floats(square, 9, (float[]) { 0, 3, 6, 1, 4, 7, 2, 5, 8 });
    float v[4] = { 1, 2, 3, 4 }; /* one memory in two storages */
    wg_tensor *a = wg_wrap(v, sizeof v, WG_F32, WG_DIMS(3), WG_DIMS(1), NULL, NULL);
    wg_tensor *b = wg_wrap(v + 1, 12, WG_F32, WG_DIMS(3), WG_DIMS(1), NULL, NULL);
    ck_assert_int_eq(wg_assign(b, a), WG_OK);
    ck_assert_float_eq(v[3], 3);
    pop(s);
}
END_TEST

START_TEST(writes_refuse_read_only_and_self_overlapping_tensors)
{
    wg_scope s = wg_scope_push();
    static const float v[4] = { 1, 2, 3, 4 };
    wgi_storage *m = wgi_storage_wrap((void *)(uintptr_t)v, sizeof v, true, NULL, NULL);
    wg_tensor *r =
        wgi_own(wgi_ctx(), wgi_tensor_on(wgi_ctx(), m, WG_F32, WG_DIMS(4), WG_DIMS(1), 0));
    wgi_storage_unref(m);
    ck_assert_ptr_null(wg_data_write(r));
    expect_error(WG_EARG, "data_write: the memory is read-only");
    ck_assert_int_eq(wg_assign(r, r), WG_EARG);
    expect_error(WG_EARG, "assign: the memory is read-only");
    ck_assert_float_eq(*(const float *)wg_data(r), 1);
    wg_tensor *wide =
        wgi_tensor_view(wgi_ctx(), counted(WG_DIMS(3)), WG_DIMS(2, 3), WG_DIMS(0, 1), 0);
    ck_assert_int_eq(wg_assign(wide, counted(WG_DIMS(2, 3))), WG_EARG);
    expect_error(WG_EARG, "assign: elements share memory");
    pop(s);
}
END_TEST

START_TEST(assign_raises_while_gradients_are_on_and_one_is_required)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = counted(WG_DIMS(2)), *u = counted(WG_DIMS(2));
    t->node = (wgi_node *)(void *)u; /* only looked at */
    ck_assert_int_eq(wg_assign(t, u), WG_EGRAD);
    expect_error(WG_EGRAD, "assign: into requires a gradient");
    ck_assert_int_eq(wg_assign(u, t), WG_EGRAD);
    expect_error(WG_EGRAD, "assign: from requires a gradient");
    wg_use_grad(false);
    ck_assert_int_eq(wg_assign(t, u), WG_OK);
    t->node = NULL;
    pop(s);
}
END_TEST

START_TEST(data_write_bumps_the_version_and_names_the_writer)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = counted(WG_DIMS(2)), *view = transposed(counted(WG_DIMS(2, 3)));
    int line = __LINE__ + 1;
    float *p = wg_data_write(t);
    ck_assert_ptr_eq(p, wg_data(t));
    ck_assert_uint_eq(atomic_load(&t->storage->version), 1);
    ck_assert_int_eq(t->storage->writer_line, line);
    ck_assert_ptr_nonnull(wg_data_write(view));
    pop(s);
}
END_TEST

START_TEST(meta_has_shapes_and_no_data)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    int64_t before = wg_memory_stats(wg_meta()).current;
    float v[2] = { 1, 2 };
    wg_tensor *t = floats(v, WG_DIMS(2)), *cpu = NULL;
    ck_assert_int_eq(wg_device_of(t).kind, WG_META);
    ck_assert_int_eq(wg_memory_stats(wg_meta()).current, before + 8);
    ck_assert_ptr_null(wg_data(t));
    expect_error(WG_EDEVICE, "data: no data: x (2) f32 meta");
    ck_assert_int_eq(wg_read(t, v, sizeof v, WG_F32), WG_EDEVICE);
    expect_error(WG_EDEVICE, "read: no data");
    wg_item(wgi_tensor_new(wgi_ctx(), WG_F32, wg_meta(), WG_DIMS()));
    expect_error(WG_EDEVICE, "item: no data: x () f32 meta");
    wg_use_device(wg_cpu());
    cpu = floats(v, WG_DIMS(2));
    ck_assert_int_eq(wg_assign(cpu, t), WG_EDEVICE);
    expect_error(WG_EDEVICE, "assign: no data: into (2) f32 cpu, from (2) f32 meta");
    ck_assert_int_eq(wg_assign(t, cpu), WG_OK);
    pop(s);
}
END_TEST

START_TEST(without_cuda_its_tensors_are_refused_by_name)
{
    if (wgi_cuda) return;
    wg_use_device(wg_cuda(0));
    expect_error(WG_EDEVICE, "use_device: no cuda device: built without CUDA");
    ck_assert(wg_is_error(wgi_tensor_new(wgi_ctx(), WG_F32, wg_cuda(0), WG_DIMS(2))));
    expect_error(WG_EDEVICE, "no cuda device");
}
END_TEST

int main(void)
{
    return suite_run(
        "data",
        (const TTest *[]) {
            from_copies_and_read_gives_back_in_row_major_order,
            from_and_read_refuse_sizes_that_do_not_fit, wrap_shares_memory_and_releases_it_once,
            wrap_refuses_what_lies_outside_and_does_not_release_it, item_takes_exactly_one_element,
            assign_broadcasts_and_casts, assign_between_overlapping_views_is_as_if_copied_first,
            writes_refuse_read_only_and_self_overlapping_tensors,
            assign_raises_while_gradients_are_on_and_one_is_required,
            data_write_bumps_the_version_and_names_the_writer, meta_has_shapes_and_no_data,
            without_cuda_its_tensors_are_refused_by_name, NULL });
}
