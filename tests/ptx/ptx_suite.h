/* A suite of the interpreter's own: no test forks but by itself. */
#ifndef WENGERT_TESTS_PTX_SUITE_H
#define WENGERT_TESTS_PTX_SUITE_H
#include <cstdio>
#include <initializer_list>
#include <string>

#include <check.h> /* last: it defines fail */

/* A message of Check's has an end. */
inline void expect_none(const std::string &failures)
{
    std::fflush(stdout);
    std::fputs(failures.c_str(), stderr);
    ck_assert_msg(failures.empty(), "%.2000s", failures.c_str());
}

inline int failed_of(const char *name, std::initializer_list<const TTest *> tests)
{
    Suite *suite = suite_create(name);
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 0);
    for (const TTest *t : tests) tcase_add_test(c, t);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed;
}
#endif
