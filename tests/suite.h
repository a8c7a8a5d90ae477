/* A test program: suite_run("scope", (const TTest *[]){ first, second, NULL }). Tests run in this process, one after the
 * other, each beginning without a pending error. */
#ifndef WENGERT_TESTS_SUITE_H
#define WENGERT_TESTS_SUITE_H
#include <check.h>

#include "wengert/wengert.h"

static inline int suite_run(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 0);
    tcase_add_checked_fixture(c, wg_error_clear, wg_error_clear);
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
