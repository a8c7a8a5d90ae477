/* Every built-in op through the registry's tests. `test_ops NAME...` runs only those ops. */
#include <stdlib.h>
#include <string.h>

#include "suite.h"

static int wanted_count;
static char **wanted;

static bool is_wanted(const char *name)
{
    for (int i = 0; i < wanted_count; i++)
        if (strcmp(wanted[i], name) == 0) return true;
    return wanted_count == 0;
}

START_TEST(every_op_passes_the_registrys_tests)
{
    wg_op_report total = { 0 };
    int ops = 0, bad = 0;
    for (int i = 0; i < wg_op_count(); i++) {
        const wg_op *op = wg_op_at(i);
        if (!is_wanted(op->name) || !op->samples) {
            if (!op->samples) {
                fprintf(stderr, "%s: has no samples\n", op->name);
                bad++;
            }
            continue;
        }
        wg_op_report r;
        if (wg_op_test_counted(op, wg_cpu(), stderr, &r) != WG_OK) {
            fprintf(stderr, "%s: %lld of %lld failed\n", op->name, (long long)r.failures,
                    (long long)r.cases);
            bad++;
            wg_error_clear();
        }
        total.cases += r.cases;
        total.failures += r.failures;
        total.skipped += r.skipped;
        ops++;
    }
    printf(
        "%d ops: %lld cases of op x sample x dtype x layout, %lld failed, %lld refused by name (a 16-bit dtype, a view that would copy)\n",
        ops, (long long)total.cases, (long long)total.failures, (long long)total.skipped);
    ck_assert_int_gt(ops, 0);
    ck_assert_int_eq(bad, 0);
}
END_TEST

int main(int argc, char **argv)
{
    wanted_count = argc - 1;
    wanted = argv + 1;
    const TTest *const tests[] = {
        every_op_passes_the_registrys_tests,
        NULL,
    };
    return suite_run("ops", tests);
}
