/* Scopes and references. */
#include <pthread.h>
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

static wg_tensor *some(double v)
{
    return wg_from(&v, sizeof v, WG_F64, WG_DIMS());
}

static int64_t tensors(void)
{
    return wg_memory_stats(wg_cpu()).tensors;
}

START_TEST(a_scope_releases_what_was_made_in_it)
{
    int64_t before = tensors();
    wg_scope s = wg_scope_push();
    for (int i = 0; i < 1000; i++) some(i);
    ck_assert_int_eq(tensors(), before + 1000);
    pop(s);
    ck_assert_int_eq(tensors(), before);
}
END_TEST

START_TEST(popping_an_outer_scope_closes_the_inner_ones)
{
    int64_t before = tensors();
    wg_scope outer = wg_scope_push();
    some(1);
    wg_scope inner = wg_scope_push();
    some(2);
    wg_scope_push();
    some(3);
    pop(outer);
    ck_assert_int_eq(tensors(), before);
    ck_assert_int_eq(wg_scope_pop(inner), WG_ESCOPE);
    expect_error(WG_ESCOPE, "scope_pop: the scope is not open");
}
END_TEST

START_TEST(a_stale_scope_is_refused_and_nothing_is_released)
{
    wg_scope s = wg_scope_push();
    pop(s);
    wg_scope other = wg_scope_push();
    wg_tensor *t = some(5);
    ck_assert_int_eq(wg_scope_pop(s), WG_ESCOPE);
    wg_error_clear();
    ck_assert_double_eq(wg_item(t), 5);
    ck_assert(wg_is_error(wg_scope_keep(s, t)));
    expect_error(WG_ESCOPE, "scope_keep: the scope is not open");
    ck_assert(wg_is_error(wg_scope_return((wg_scope) { 0 }, t)));
    expect_error(WG_ESCOPE, "scope_return: the scope is not open");
    pop(other);
}
END_TEST

static void *push_elsewhere(void *scope)
{
    *(wg_scope *)scope = wg_scope_push();
    return NULL;
}

START_TEST(a_scope_of_another_thread_is_refused)
{
    pthread_t thread;
    wg_scope theirs;
    pthread_create(&thread, NULL, push_elsewhere, &theirs);
    pthread_join(thread, NULL);
    ck_assert_int_eq(wg_scope_pop(theirs), WG_ESCOPE);
    expect_error(WG_ESCOPE, "scope_pop: the scope belongs to another thread");
}
END_TEST

START_TEST(keep_hands_a_tensor_to_the_scope_around_and_return_also_ends)
{
    int64_t before = tensors();
    wg_scope outer = wg_scope_push(), inner = wg_scope_push();
    wg_tensor *a = wg_scope_keep(inner, some(1));
    some(2);
    wg_tensor *b = wg_scope_return(inner, some(3));
    ck_assert_int_eq(tensors(), before + 2);
    ck_assert_double_eq(wg_item(a), 1);
    ck_assert_double_eq(wg_item(b), 3);
    ck_assert_ptr_null(wg_scope_return(wg_scope_push(), NULL));
    pop(outer);
    ck_assert_int_eq(tensors(), before);
}
END_TEST

START_TEST(keep_from_an_outer_scope_survives_the_inner_ones)
{
    int64_t before = tensors();
    wg_scope outer = wg_scope_push(), middle = wg_scope_push(), inner = wg_scope_push();
    wg_tensor *a = wg_scope_keep(middle, some(1));
    pop(inner);
    pop(middle);
    ck_assert_double_eq(wg_item(a), 1);
    pop(outer);
    ck_assert_int_eq(tensors(), before);
}
END_TEST

START_TEST(settings_end_with_the_scope_they_were_made_in)
{
    wg_scope outer = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_scope inner = wg_scope_push();
    wg_use_grad(false);
    wg_use_dtype(WG_BF16);
    wg_use_device(wg_meta());
    wg_use_autocast(WG_F16);
    wg_scope_push(); /* left open */
    wg_use_grad(true);
    pop(inner);
    ck_assert(wg_grad_is_on());
    ck_assert_int_eq(wg_current_dtype(), WG_F64);
    ck_assert_int_eq(wg_current_device().kind, WG_CPU);
    ck_assert_int_eq((int)wg_current_autocast(), 0);
    pop(outer);
    ck_assert_int_eq(wg_current_dtype(), WG_F32);
    wg_use_dtype(WG_I64);
    expect_error(WG_EDTYPE, "use_dtype: i64 is not floating");
    wg_use_autocast(WG_F32);
    expect_error(WG_EDTYPE, "use_autocast: f32 is neither");
}
END_TEST

START_TEST(a_reference_outlives_the_scope)
{
    int64_t before = tensors();
    wg_scope s = wg_scope_push();
    wg_tensor *t = wg_ref(some(7));
    pop(s);
    ck_assert_double_eq(wg_item(t), 7);
    wg_unref(&t);
    ck_assert_ptr_null(t);
    wg_unref(&t);
    wg_unref(NULL);
    expect_no_error();
    ck_assert_int_eq(tensors(), before);
}
END_TEST

START_TEST(unref_without_ref_is_an_error_and_nothing_happens)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = some(1), *same = t;
    wg_unref(&t);
    expect_error(WG_ESCOPE, "unref: no reference of yours");
    ck_assert_ptr_eq(t, same);
    ck_assert_double_eq(wg_item(t), 1);
    pop(s);
}
END_TEST

START_TEST(set_references_the_new_and_drops_the_old)
{
    int64_t before = tensors();
    wg_tensor *slot = NULL;
    wg_scope s = wg_scope_push();
    wg_set(&slot, some(1));
    wg_set(&slot, some(2));
    wg_set(&slot, slot);
    pop(s);
    ck_assert_int_eq(tensors(), before + 1);
    ck_assert_double_eq(wg_item(slot), 2);
    wg_set(&slot, NULL);
    ck_assert_ptr_null(slot);
    ck_assert_int_eq(tensors(), before);
    expect_no_error();
}
END_TEST

START_TEST(the_error_tensor_is_not_counted)
{
    wg_tensor *e = wg_fail(WG_EARG, "on purpose"), *slot = NULL;
    wg_ref(e);
    wg_set(&slot, e);
    wg_set(&slot, NULL);
    wg_tensor *again = e;
    wg_unref(&again);
    wg_unref(&e);
    expect_error(WG_EARG, "on purpose");
}
END_TEST

START_TEST(lists_and_memory_of_a_scope_are_zeroed_also_when_reused)
{
    for (int round = 0; round < 3; round++) {
        wg_scope s = wg_scope_push();
        for (int i = 1; i < 200; i++) {
            wg_list l = wg_list_new(i);
            ck_assert_int_eq(l.n, i);
            for (int64_t k = 0; k < l.n; k++) ck_assert_ptr_null(l.t[k]);
            memset(l.t, 0xff, (size_t)i * sizeof *l.t);
        }
        ck_assert_uint_eq((uintptr_t)wg_scope_alloc(5) % 16, 0);
        pop(s);
    }
    ck_assert_int_eq(wg_list_new(0).n, 0);
    expect_no_error();
    ck_assert_int_eq(wg_list_new(-1).n, 0);
    expect_error(WG_EARG, "list_new: -1 slots");
    ck_assert_ptr_null(wg_scope_alloc(SIZE_MAX));
    expect_error(WG_EMEM, "scope_alloc: out of memory");
    ck_assert_int_eq(wg_list_new(INT64_MAX / 2).n, 0);
    expect_error(WG_EMEM, "list_new: out of memory");
}
END_TEST

static int released;
static void pushes_in_release(void *owner)
{
    released++;
    some(1);         /* in the scope that is being closed */
    wg_scope_push(); /* left open */
    some(2);
    wg_status s = wg_scope_pop(*(wg_scope *)owner); /* not open any more */
    ck_assert_int_eq(s, WG_ESCOPE);
    wg_error_clear();
}

START_TEST(a_release_function_may_use_the_library)
{
    int64_t before = tensors();
    static float data[4];
    wg_scope outer = wg_scope_push(), s = wg_scope_push();
    wg_wrap(data, sizeof data, WG_F32, WG_DIMS(4), WG_DIMS(1), pushes_in_release, &s);
    pop(s);
    ck_assert_int_eq(released, 1);
    ck_assert_int_eq(tensors(), before);
    pop(outer);
}
END_TEST

START_TEST(a_hundred_thousand_scopes_deep)
{
    wg_scope s = wg_scope_push();
    for (int i = 0; i < 100000; i++) {
        wg_scope_push();
        some(i);
    }
    pop(s);
}
END_TEST

static void *use_root(void *tensor_slot)
{
    wg_use_grad(false);
    some(1); /* the thread's root scope has it */
    *(wg_tensor **)tensor_slot = wg_ref(some(2));
    return NULL;
}

START_TEST(a_threads_root_scope_ends_with_the_thread_and_references_go_on)
{
    int64_t before = tensors();
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        wg_tensor *t;
        pthread_create(&thread, NULL, use_root, &t);
        pthread_join(thread, NULL);
        ck_assert_int_eq(tensors(), before + 1);
        ck_assert_double_eq(wg_item(t), 2);
        wg_unref(&t); /* made by a thread that has ended */
        ck_assert_int_eq(tensors(), before);
    }
    ck_assert(wg_grad_is_on());
}
END_TEST

START_TEST(use_after_pop_names_where_it_was_made_and_where_it_ended)
{
    wg_scope s = wg_scope_push();
    int made = __LINE__ + 1;
    wg_tensor *t = some(1);
    (void)made;
    wg_at("elsewhere.c", 77);
    pop(s);
    wg_item(t);
    expect_error(WG_ESCOPE, "item: the tensor made at ../tests/test_scope.c:");
    wg_numel(t);
    const wg_error *e = wg_error_get();
    ck_assert_ptr_nonnull(strstr(e->message, "ended with its scope at elsewhere.c:77"));
    wg_error_clear();
    ck_assert(wg_is_error(wg_ref(t)));
    wg_error_clear();
    wg_unref(&t);
    expect_error(WG_ESCOPE, "unref: the tensor made at");
}
END_TEST

int main(void)
{
    setenv("WG_DEBUG_HANDLES", "1", 1);
    return suite_run(
        "scope",
        (const TTest *[]) {
            a_scope_releases_what_was_made_in_it, popping_an_outer_scope_closes_the_inner_ones,
            a_stale_scope_is_refused_and_nothing_is_released, a_scope_of_another_thread_is_refused,
            keep_hands_a_tensor_to_the_scope_around_and_return_also_ends,
            keep_from_an_outer_scope_survives_the_inner_ones,
            settings_end_with_the_scope_they_were_made_in, a_reference_outlives_the_scope,
            unref_without_ref_is_an_error_and_nothing_happens,
            set_references_the_new_and_drops_the_old, the_error_tensor_is_not_counted,
            lists_and_memory_of_a_scope_are_zeroed_also_when_reused,
            a_release_function_may_use_the_library, a_hundred_thousand_scopes_deep,
            a_threads_root_scope_ends_with_the_thread_and_references_go_on,
            use_after_pop_names_where_it_was_made_and_where_it_ended, NULL });
}
