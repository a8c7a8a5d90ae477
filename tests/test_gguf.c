/* GGUF: published files open and say what they hold; what is malformed is refused before anything
 * is made of it. */
#include <stdint.h>

#include "folder.h"
#include "suite.h"

/* A file of the shared data; NULL if it is not there. */
static const char *data_file(const char *name)
{
    const char *set = getenv("WENGERT_TEST_DATA");
    const char *roots[] = { set ? set : "", format("%s/../shared/data", WG_SOURCE_ROOT) };
    for (int i = 0; i < 2; i++) {
        const char *path = format("%s/%s", roots[i], name);
        if (*roots[i] && access(path, R_OK) == 0) return path;
    }
    puts("skipped: no data");
    return NULL;
}

START_TEST(a_published_model_says_what_it_holds)
{
    const char *path = data_file("stories260K/stories260K.gguf");
    if (!path) return;
    const wg_scope s = wg_scope_push();
    wg_gguf *f = wg_gguf_open(path);
    expect_no_error();
    ck_assert_str_eq(wg_gguf_string(f, "general.architecture", NULL), "llama");
    ck_assert_int_eq(wg_gguf_int(f, "llama.block_count", -1), 5);
    ck_assert_int_eq(wg_gguf_int(f, "llama.attention.head_count_kv", -1), 4);
    ck_assert_int_eq(wg_gguf_array_size(f, "tokenizer.ggml.tokens"), 512);
    ck_assert_int_eq(wg_gguf_count(f), 48);
    for (int64_t i = 0; i < wg_gguf_count(f); i++) {
        wg_tensor *t = wg_gguf_get(f, wg_gguf_name(f, i));
        ck_assert(!wg_is_error(t) && wg_dtype_of(t) == wg_gguf_dtype(f, i));
        ck_assert_ptr_null(wg_data_write(t));
        wg_error_clear();
    }
    wg_gguf_close(f);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("gguf", (const TTest *[]) { a_published_model_says_what_it_holds, NULL });
    folder_remove();
    return failed;
}
