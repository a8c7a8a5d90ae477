/* Errors: the first stays, whole; the error tensor; the log. */
#include <pthread.h>

#include "suite.h"
#include "tensor/internal.h"

START_TEST(the_first_error_stays_until_it_is_cleared)
{
    wg_at("a.c", 7);
    ck_assert_int_eq(wg_raise(WG_ESHAPE, "first %d", 1), WG_ESHAPE);
    ck_assert_int_eq(wg_raise(WG_EDTYPE, "second"), WG_EDTYPE);
    ck_assert_int_eq(wg_error_code(), WG_ESHAPE);
    expect_error(WG_ESHAPE, "first 1; at a.c:7");
    ck_assert_int_eq(wg_error_code(), WG_OK);
    ck_assert_ptr_null(wg_error_get());
}
END_TEST

START_TEST(fail_gives_the_error_tensor_whose_sizes_are_1)
{
    wg_tensor *e = wg_fail(WG_EARG, "on purpose");
    ck_assert(wg_is_error(e));
    ck_assert_int_eq(wg_numel(e), 1);
    ck_assert_int_eq(wg_ndim(e), 0);
    ck_assert_int_eq(wg_size(e, 5), 1);
    ck_assert_int_eq(wg_shape(e).n, 0);
    ck_assert_int_eq(wg_shape(e).d[3], 1);
    ck_assert_double_nan(wg_item(e));
    ck_assert_int_eq(wg_item_int(e), 0);
    ck_assert_ptr_null(wg_data(e));
    ck_assert_ptr_null(wg_data_write(e));
    float f = 3;
    ck_assert_int_eq(wg_read(e, &f, sizeof f, WG_F32), WG_EARG);
    ck_assert_int_eq(wg_assign(e, e), WG_EARG);
    expect_error(WG_EARG, "on purpose");
}
END_TEST

START_TEST(null_and_cleared_errors_raise_anew)
{
    ck_assert(wg_is_error(NULL));
    ck_assert_int_eq(wg_size(NULL, 0), 1);
    expect_error(WG_EARG, "size: the tensor is NULL");
    ck_assert_double_nan(wg_item(&wgi_error_tensor));
    expect_error(WG_EARG, "item: given an error tensor");
    ck_assert(wg_is_error(wg_ref(NULL)));
    expect_error(WG_EARG, "ref: the tensor is NULL");
}
END_TEST

static const wg_op matmul_like = { .name = "matmul", .in = { "x", "w", "bias?", "more*" } };

START_TEST(the_message_has_op_operands_module_and_place)
{
    wgi_context *c = wgi_ctx();
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_tensor *x = wgi_tensor_new(c, WG_F32, wg_meta(), WG_DIMS(4, 64, 768));
    wg_tensor *w = wgi_tensor_new(c, WG_BF16, wg_cpu(), WG_DIMS(2, 3));
    wgi_path_push("h.3");
    wgi_path_push("");
    wgi_path_push("attn");
    wg_scope inner = wg_scope_push();
    wgi_path_push("c_attn");
    c->op = &matmul_like;
    c->operands = WG_LIST(x, w, NULL, x, NULL, w);
    wg_at("gpt2.c", 88);
    wg_raise(WG_ESHAPE, "inner sizes differ");
    c->op = NULL;
    const wg_error *e = wg_error_get();
    ck_assert_str_eq(
        e->message,
        "matmul: inner sizes differ: x (4, 64, 768) f32 meta, w (2, 3) bf16 cpu, "
        "more[0] (4, 64, 768) f32 meta, more[2] (2, 3) bf16 cpu; in h.3.attn.c_attn; at gpt2.c:88");
    ck_assert_str_eq(e->op, "matmul");
    ck_assert_str_eq(e->module, "h.3.attn.c_attn");
    ck_assert_str_eq(e->file, "gpt2.c");
    ck_assert_int_eq(e->line, 88);
    wg_error_clear();
    pop(inner);
    char path[64];
    ck_assert_int_eq(wgi_path_text(path, sizeof path), 8);
    ck_assert_str_eq(path, "h.3.attn");
    ck_assert_int_eq(wgi_path_text(path, 5), 4);
    ck_assert_str_eq(path, "h.3.");
    pop(s);
    ck_assert_int_eq(wgi_path_text(path, sizeof path), 0);
}
END_TEST

START_TEST(the_ops_name_is_not_put_in_front_twice)
{
    wgi_context *c = wgi_ctx();
    c->op = &matmul_like;
    c->operands = WG_NO_LIST;
    wg_at("a.c", 1);
    wg_raise(WG_EARG, "matmul: bad");
    expect_error(WG_EARG, "matmul: bad; at a.c:1");
    wg_raise(WG_EARG, "matmuls differ");
    expect_error(WG_EARG, "matmul: matmuls differ; at a.c:1");
    c->op = NULL;
}
END_TEST

START_TEST(the_callers_place_is_the_users_line)
{
    float f = 0;
    int line = __LINE__ + 1;
    wg_tensor *t = wg_from(&f, 3, WG_F32, WG_DIMS(1));
    ck_assert(wg_is_error(t));
    ck_assert_int_eq(wg_error_get()->line, line);
    ck_assert_str_eq(wg_error_get()->file, __FILE__);
    expect_error(WG_EARG, "from: (1) f32 takes 4 bytes, given 3; at ");
    wg_tensor *(*bare)(const void *, size_t, wg_dtype, wg_dims) =
        wg_from; /* the bare name is a function */
    ck_assert(bare != NULL);
}
END_TEST

START_TEST(print_writes_one_line_and_clears)
{
    char text[128] = { 0 };
    FILE *f = fmemopen(text, sizeof text, "w");
    ck_assert_int_eq(wg_error_print(f), 0);
    wg_at("b.c", 2);
    wg_raise(WG_EIO, "no such disk");
    ck_assert_int_eq(wg_error_print(f), 1);
    ck_assert_int_eq(wg_error_print(f), 0);
    fclose(f);
    ck_assert_str_eq(text, "error: no such disk; at b.c:2\n");
}
END_TEST

START_TEST(an_error_without_memory_is_still_an_error)
{
    wgi_fail_alloc_after(1);
    wg_raise(WG_EMEM, "nothing left");
    wgi_fail_alloc_after(0);
    expect_error(WG_EMEM, "out of memory, also for the message");
}
END_TEST

START_TEST(long_texts_are_cut)
{
    static char longer[10000];
    memset(longer, 'a', sizeof longer - 1);
    wg_raise(WG_EARG, "%s", longer);
    ck_assert_uint_lt(strlen(wg_error_get()->message), 4096);
    expect_error(WG_EARG, "aaaa");
}
END_TEST

static void *errs(void *unused)
{
    (void)unused;
    wg_raise(WG_EARG, "theirs");
    return NULL;
}

START_TEST(errors_belong_to_their_thread)
{
    pthread_t thread;
    pthread_create(&thread, NULL, errs, NULL);
    pthread_join(thread, NULL);
    expect_no_error();
}
END_TEST

static char logged[128];
static void take_log(void *self, int level, const char *message)
{
    snprintf(logged, sizeof logged, "%d %s", level + *(int *)self, message);
}

START_TEST(messages_for_people_go_to_the_log_function)
{
    int add = 10;
    wg_log_to(take_log, &add);
    wgi_log(2, "found %s", "it");
    wg_log_to(NULL, NULL);
    ck_assert_str_eq(logged, "12 found it");
    wgi_log(0, "dropped");
    ck_assert_str_eq(logged, "12 found it");
}
END_TEST

START_TEST(every_status_has_its_name)
{
    ck_assert_str_eq(wg_status_name(WG_OK), "WG_OK");
    ck_assert_str_eq(wg_status_name(WG_ENUMERIC), "WG_ENUMERIC");
    ck_assert_str_eq(wg_status_name((wg_status)99), "unknown status");
}
END_TEST

int main(void)
{
    return suite_run(
        "error",
        (const TTest *[]) {
            the_first_error_stays_until_it_is_cleared,
            fail_gives_the_error_tensor_whose_sizes_are_1, null_and_cleared_errors_raise_anew,
            the_message_has_op_operands_module_and_place, the_ops_name_is_not_put_in_front_twice,
            the_callers_place_is_the_users_line, print_writes_one_line_and_clears,
            an_error_without_memory_is_still_an_error, long_texts_are_cut,
            errors_belong_to_their_thread, messages_for_people_go_to_the_log_function,
            every_status_has_its_name, NULL });
}
