/* A test program: suite_run("scope", (const TTest *[]){ first, second, NULL }). Tests run in this process, one after the
 * other, each beginning without a pending error. WG_TEST_DEVICE=cuda makes cuda:0 the device that new tensors are made
 * on, where there is one. */
#ifndef WENGERT_TESTS_SUITE_H
#define WENGERT_TESTS_SUITE_H
#include <check.h>

#include <stdlib.h>

#include "wengert/wengert.h"

static inline bool on_cuda(void)
{
    const char *device = getenv("WG_TEST_DEVICE");
    return device && strcmp(device, "cuda") == 0 && wg_cuda_device_count() > 0;
}

/* wg_data, or, of a tensor on CUDA, a copy that lives as long as the innermost scope. */
static inline const void *suite_data(wg_tensor *t)
{
    if (!on_cuda() || !t || wg_is_error(t) || wg_device_of(t).kind != WG_CUDA) return (wg_data)(t);
    const wg_dtype d = wg_dtype_of(t);
    const size_t bytes = (size_t)(wg_numel(t) / wg_dtype_block(d)) * wg_dtype_block_bytes(d);
    void *copy = wg_scope_alloc(bytes + 1);
    return copy && wg_read(t, copy, bytes, d) == WG_OK ? copy : NULL;
}
#undef wg_data
#define wg_data(t) suite_data(t)

/* What a failed test leaves open ends with the test. */
static wg_scope suite_scope;
static inline void suite_begin(void)
{
    wg_error_clear();
    if (!on_cuda()) return;
    suite_scope = wg_scope_push();
    wg_use_device(wg_cuda(0));
}
static inline void suite_end(void)
{
    wg_error_clear();
    if (on_cuda()) (void)!wg_scope_pop(suite_scope);
}

static inline int suite_run(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 0);
    tcase_add_checked_fixture(c, suite_begin, suite_end);
    for (; *tests; tests++) tcase_add_test(c, *tests);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}

/* The pending error has this code and its message begins so; it is then cleared. */
static inline void expect_error(wg_status code, const char *message)
{
    const wg_error *e = wg_error_get();
    ck_assert_msg(e != NULL, "no error pending, expected: %s", message);
    ck_assert_msg(strncmp(e->message, message, strlen(message)) == 0, "got  %s\nwant %s",
                  e->message, message);
    ck_assert_str_eq(wg_status_name(e->code), wg_status_name(code));
    wg_error_clear();
}

static inline void expect_no_error(void)
{
    const wg_error *e = wg_error_get();
    ck_assert_msg(e == NULL, "pending: %s", e ? e->message : "");
}

static inline void pop(wg_scope s)
{
    wg_status status = wg_scope_pop(s);
    ck_assert_msg(status == WG_OK, "pending: %s", wg_error_get() ? wg_error_get()->message : "");
}
#endif
