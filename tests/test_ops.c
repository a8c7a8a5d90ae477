/* Every built-in op through the registry's tests. `test_ops NAME...` runs only those ops; `--device cuda[:N]` before them
 * runs them there: against the f64 reference and against the CPU. */
#include <stdlib.h>
#include <string.h>

#include "suite.h"

static int wanted_count;
static char **wanted;
static wg_device device;

static bool has_kernel(const wg_op *op)
{
    return device.kind == WG_CPU || op->cuda || (op->flags & WG_OP_VIEW);
}

static bool is_wanted(const char *name)
{
    for (int i = 0; i < wanted_count; i++)
        if (strcmp(wanted[i], name) == 0) return true;
    return wanted_count == 0;
}

START_TEST(every_op_passes_the_registrys_tests)
{
    wg_op_report total = { 0 };
    int ops = 0, bad = 0, without = 0;
    for (int i = 0; i < wg_op_count(); i++) {
        const wg_op *op = wg_op_at(i);
        if (!is_wanted(op->name) || !op->samples) {
            if (!op->samples) {
                fprintf(stderr, "%s: has no samples\n", op->name);
                bad++;
            }
            continue;
        }
        if (!has_kernel(op)) {
            printf("%s: no cuda kernel\n", op->name);
            without++;
            continue;
        }
        wg_op_report r;
        if (wg_op_test_counted(op, device, stderr, &r) != WG_OK) {
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
    if (without) printf("%d ops without a kernel for this device\n", without);
    ck_assert_int_gt(ops + without, 0);
    ck_assert_int_eq(bad, 0);
}
END_TEST

int main(int argc, char **argv)
{
    device = wg_cpu();
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--device") == 0) {
        if (strncmp(argv[2], "cuda", 4) == 0)
            device = wg_cuda(argv[2][4] == ':' ? atoi(argv[2] + 5) : 0);
        first = 3;
    }
    if (device.kind == WG_CUDA && device.index >= wg_cuda_device_count()) {
        printf("skipped: no CUDA device\n");
        return 77; /* Meson's word for it */
    }
    wanted_count = argc - first;
    wanted = argv + first;
    const TTest *const tests[] = {
        every_op_passes_the_registrys_tests,
        NULL,
    };
    return suite_run("ops", tests);
}
