/* State dicts: what is saved loads, what does not fit changes nothing. */
#include "module_check.h"

static char *file_name(void)
{
    static char path[64] = "/tmp/wengert_module_XXXXXX";
    static bool made;
    if (!made) {
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        close(fd);
        made = true;
    }
    return path;
}

START_TEST(save_and_load)
{
    wg_scope s = begin();
    char *path = file_name();
    wg_module *a = tower_new(4), *b = tower_new(4);
    wg_tie(a, "net.second.weight", "net.first.weight");
    wg_tie(b, "net.second.weight", "net.first.weight");
    ck_assert_int_eq(wg_module_save(a, path), WG_OK);
    wg_tensor *w = wg_module_tensor(b, "h.1.net.first.weight");
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert_ptr_eq(wg_module_tensor(b, "h.1.net.first.weight"), w);
    wg_params pa = wg_module_state(a), pb = wg_module_state(b);
    ck_assert_int_eq(pa.n, pb.n);
    for (int64_t i = 0; i < pa.n; i++) ck_assert(same_bits(pa.p[i].tensor, pb.p[i].tensor));
    /* another dtype is converted; a module on meta gets data */
    wg_module_cast(b, WG_F64);
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert(wg_dtype_of(w) == WG_F64 &&
              distance(w, wg_module_tensor(a, "h.1.net.first.weight")) == 0);
    wg_module_to(b, wg_meta());
    wg_module_to(b, wg_cpu());
    fails(WG_EDEVICE, "meta");
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert(wg_device_of(w).kind == WG_CPU && wg_requires_grad(w));
    ck_assert(distance(w, wg_module_tensor(a, "h.1.net.first.weight")) == 0);
    wg_module_free(a);
    wg_module_free(b);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(a_load_that_does_not_fit_changes_nothing)
{
    wg_scope s = begin();
    char *path = file_name();
    wg_module *a = mixer_new(4), *b = tower_new(4), *c = mixer_new(5);
    ck_assert_int_eq(wg_module_save(a, path), WG_OK);
    wg_tensor *gain = wg_module_tensor(b, "gain"), *w = wg_module_tensor(c, "net.first.weight");
    wg_tensor *first = wg_affine(wg_detach(wg_module_tensor(b, "net.first.weight")), 1, 0);
    wg_tensor *before = wg_affine(wg_detach(w), 1, 0);
    ck_assert_int_ne(wg_module_load(b, path, true), WG_OK);
    fails(WG_ENOTFOUND, "10 missing");
    ck_assert(same_bits(first, wg_module_tensor(b, "net.first.weight")));
    ck_assert_int_ne(wg_module_load(c, path, false), WG_OK);
    fails(WG_ESHAPE, "gain is (5)");
    ck_assert(same_bits(before, w));
    ck_assert_int_eq(wg_module_load(b, path, false), WG_OK);
    ck_assert(same_bits(gain, wg_module_tensor(a, "gain")));
    ck_assert(same_bits(wg_module_tensor(b, "net.first.weight"),
                        wg_module_tensor(a, "net.first.weight")));
    ck_assert_int_ne(wg_module_load(b, "/nowhere/at/all", true), WG_OK);
    fails(WG_ENOTFOUND, "/nowhere/at/all");
    remove(path);
    wg_module_free(a);
    wg_module_free(b);
    wg_module_free(c);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        save_and_load,
        a_load_that_does_not_fit_changes_nothing,
        NULL,
    };
    return suite_run("state_dict", tests);
}
