/* Token ids as sequences; prompts with answers and questions with endings from JSON lines. */
#include <stdint.h>

#include "folder.h"
#include "suite.h"

/* A byte a token; "ab" is one token, 256; '!' cannot be encoded. */
static int64_t encode(void *self, const char *text, size_t bytes, int64_t **ids)
{
    int64_t n = 0;
    ++*(int *)self;
    *ids = malloc((bytes + 1) * sizeof **ids);
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '!') {
            free(*ids);
            *ids = NULL;
            wg_raise(WG_ENOTFOUND, "encode: no '!'");
            return -1;
        }
        const bool pair = text[i] == 'a' && i + 1 < bytes && text[i + 1] == 'b';
        (*ids)[n++] = pair ? 256 : (unsigned char)text[i];
        i += pair;
    }
    return n;
}
static int calls;
#define OPEN(...)                                                                                  \
    wg_examples_open(.path = in_folder("e"), .encode = encode, .self = &calls, .vocab = 258,       \
                     __VA_ARGS__)

static void expect_row(wg_tensor *x, wg_tensor *y, int64_t row, int n, const int *want_x,
                       const int *want_y)
{
    const int64_t T = wg_size(x, 1);
    ck_assert_int_le(n, T);
    const int64_t *a = (const int64_t *)wg_data(x) + row * T,
                  *b = (const int64_t *)wg_data(y) + row * T;
    for (int t = 0; t < T; t++) {
        ck_assert_msg(a[t] == (t < n ? want_x[t] : 0), "x[%d] is %d", t, (int)a[t]);
        ck_assert_msg(b[t] == (t < n ? want_y[t] : -1), "y[%d] is %d", t, (int)b[t]);
    }
}
#define ROW(r, X, Y)                                                                               \
    expect_row(x, y, r, (int)(sizeof(int[]) X / sizeof(int)), (const int[])X, (const int[])Y)
#define L(...)                                                                                     \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* The one batch that the lines give. */
static void batch_of(wg_examples *e, wg_tensor **x, wg_tensor **y)
{
    expect_no_error();
    ck_assert_ptr_nonnull(e);
    wg_loader *l = wg_loader_new(.examples = e, .batch = 10, .sequential = true);
    wg_examples_free(e); /* the loader keeps it */
    ck_assert(wg_loader_next(l, x, y));
    wg_tensor *a, *b;
    ck_assert(!wg_loader_next(l, &a, &b));
    ck_assert_ptr_null(a);
    wg_loader_free(l);
}

START_TEST(only_the_answer_is_learned)
{
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    put_text(in_folder("e"), "{\"prompt\": \"xy\", \"completion\": \"zw\"}\n\n"
                             "{\"id\": 7, \"answer\": \"q\", \"prompt\": \"\"}\r\n"
                             "{\"text\": \"rst\"}");
    batch_of(OPEN(.begin = WG_JUST(0), .end_token = WG_JUST(257)), &x, &y);
    ck_assert_int_eq(wg_size(x, 0), 3);
    ck_assert_int_eq(wg_size(x, 1), 5);
    ROW(0, L(0, 'x', 'y', 'z', 'w'), L(-1, -1, 'z', 'w', 257));
    ROW(1, L(0, 'q'), L('q', 257));
    ROW(2, L(0, 'r', 's', 't'), L('r', 's', 't', 257));
    batch_of(OPEN(.end_token = WG_JUST(257), .learn_prompt = true), &x, &y);
    ROW(0, L('x', 'y', 'z', 'w'), L('y', 'z', 'w', 257));
    wg_examples *e = OPEN(.end_token = WG_JUST(257));
    ck_assert_int_eq(wg_examples_count(e), 3);
    ck_assert_int_eq(wg_examples_learned(e), 3 + 1 + 3);
    wg_examples_free(e);
    pop(s);
}
END_TEST

START_TEST(a_token_across_the_seam_belongs_to_the_answer)
{
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    put_text(in_folder("e"), "{\"prompt\": \"xa\", \"completion\": \"bc\"}\n"
                             "{\"prompt\": \"ab\", \"completion\": \"ab\"}\n");
    batch_of(OPEN(.begin = WG_JUST(0)), &x, &y);
    ROW(0, L(0, 'x', 256), L(-1, 256, 'c'));
    ROW(1, L(0, 256), L(-1, 256));
    pop(s);
}
END_TEST

START_TEST(what_is_too_long_loses_the_prompts_beginning_first)
{
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    put_text(in_folder("e"), "{\"prompt\": \"uvwxy\", \"completion\": \"mn\"}\n"
                             "{\"prompt\": \"uv\", \"completion\": \"jklmnop\"}\n"
                             "{\"text\": \"jklmnop\"}");
    batch_of(OPEN(.end_token = WG_JUST(257), .block = 4), &x, &y);
    ROW(0, L('x', 'y', 'm', 'n'), L(-1, 'm', 'n', 257));
    ROW(1, L('v', 'j', 'k', 'l'), L('j', 'k', 'l', 'm'));
    ROW(2, L('j', 'k', 'l', 'm'), L('k', 'l', 'm', 'n'));
    batch_of(OPEN(.begin = WG_JUST(0), .block = 4), &x, &y);
    ROW(0, L(0, 'x', 'y', 'm'), L(-1, -1, 'm', 'n'));
    ROW(1, L(0, 'j', 'k', 'l'), L('j', 'k', 'l', 'm'));
    ck_assert_ptr_null(OPEN(.block = 8, .refuse_long = true, .end_token = WG_JUST(257)));
    expect_error(WG_EFORMAT, format("%s:2: 10 tokens, a block of 8 takes 9", in_folder("e")));
    pop(s);
}
END_TEST

START_TEST(malformed_lines_are_named)
{
    static const struct {
        const char *text;
        wg_status code;
        const char *message;
    } bad[] = {
        { "{\"text\": \"x y\"}\n\n{\"prompt\": 3, \"answer\": \"\"}", WG_EFORMAT,
          ":3: \"prompt\" is no string" },
        { "{\"prompt\": \"x\"}", WG_EFORMAT, ":1: wanted are \"prompt\" and either" },
        { "{\"prompt\": \"x\", \"answer\": \"y\", \"completion\": \"y\"}", WG_EFORMAT,
          ":1: wanted are" },
        { "{\"prompt\": \"x\", \"text\": \"y\"}", WG_EFORMAT, ":1: wanted are" },
        { "{\"text\": \"x y\"}\n{\"text\": \"x\n", WG_EFORMAT, ":2: no JSON: " },
        { "[1]\n", WG_EFORMAT, ":1: no JSON object" },
        { "{\"text\": \"x\", \"text\": \"y\"}", WG_EFORMAT, ":1: no JSON: duplicate" },
        { "{\"text\": \"\xFF\"}", WG_EFORMAT, ":1: no JSON: unable to decode byte 0xff" },
        { "{\"text\": \"x\"}", WG_EFORMAT, ":1: no token is left to be learned" },
        { "{\"prompt\": \"xyz\", \"answer\": \"\"}", WG_EFORMAT, ":1: no token is left" },
        { "{\"text\": \"xy!\"}", WG_ENOTFOUND, ":1: encode: no '!'" },
        { "{\"prompt\": \"!\", \"answer\": \"x\"}", WG_ENOTFOUND, ":1: encode: no '!'" },
        { " \n\n", WG_EFORMAT, ": there is no example in it" },
        { "", WG_EFORMAT, ": there is no example in it" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(in_folder("e"), bad[i].text);
        ck_assert_ptr_null(OPEN(.block = 9));
        expect_error(bad[i].code, format("%s%s", in_folder("e"), bad[i].message));
    }
    put_text(in_folder("e"), "{\"text\": \"ab ab\"}");
    ck_assert_ptr_null(
        wg_examples_open(.path = in_folder("e"), .encode = encode, .self = &calls, .vocab = 256));
    expect_error(WG_EFORMAT,
                 format("%s:1: token 256 is outside the vocabulary of 256", in_folder("e")));
    ck_assert_ptr_null(OPEN(.end_token = WG_JUST(-1)));
    expect_error(WG_EFORMAT, format("%s:1: token -1 is outside", in_folder("e")));
    ck_assert_ptr_null(wg_examples_open(.path = in_folder("e"), .vocab = 3));
    expect_error(WG_EARG, "examples_open: no path or no function");
    ck_assert_ptr_null(OPEN(.block = -1));
    expect_error(WG_EARG, "examples_open: a block of -1");
    ck_assert_ptr_null(wg_examples_open(.path = "/nowhere", .encode = encode, .vocab = 3));
    expect_error(WG_ENOTFOUND, "/nowhere: No such file");
    wg_examples_free(NULL);
}
END_TEST

START_TEST(damaged_lines_neither_crash_nor_leak)
{
    static const char good[] = "{\"prompt\": \"caf\\u00e9 \\ud83d\\ude00\", \"answer\": \"y\"}\n"
                               "{\"ctx\": \"a\", \"endings\": [\"b\", \"c\"], \"label\": \"1\"}\n";
    uint64_t random = 3;
    for (size_t i = 0; i < 8 * sizeof good; i++) {
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        random = random * 6364136223846793005u + 1442695040888963407u;
        if (i >= sizeof good)
            bad[(random >> 33) % (sizeof good - 1)] ^= (char)(1 << (random >> 24) % 8);
        put_file(in_folder("e"), bad, i < sizeof good ? i : sizeof good - 1);
        wg_examples *e = OPEN(.end_token = WG_JUST(257));
        ck_assert((e == NULL) == (wg_error_code() != WG_OK));
        wg_error_clear();
        wg_questions *q = wg_questions_open(in_folder("e"));
        ck_assert((q == NULL) == (wg_error_code() != WG_OK));
        wg_error_clear();
        wg_examples_free(e);
        wg_questions_free(q);
    }
}
END_TEST

START_TEST(a_shuffled_pass_has_every_example_once)
{
    enum { N = 23 };
    char text[4096] = "";
    for (int i = 0; i < N; i++)
        snprintf(text + strlen(text), 64, "{\"prompt\": \"%.*s\", \"answer\": \"%c\"}\n", i % 5 + 1,
                 "uvwxyz", 'A' + i);
    put_text(in_folder("e"), text);
    wg_examples *e = OPEN(.block = 9);
    char orders[3][N + 1];
    for (int run = 0; run < 3; run++) { /* two passes, and the first one again in other batches */
        static wg_loader *l;
        if (run != 1)
            l = wg_loader_new(.examples = e, .batch = run ? 7 : 4, .sequential = true,
                              .shuffle = true, .seed = 5);
        else
            wg_loader_rewind(l);
        int seen[N] = { 0 }, n = 0;
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        while (wg_loader_next(l, &x, &y)) {
            const int64_t *b = wg_data(y);
            int64_t widest = 0;
            for (int64_t row = 0; row < wg_size(y, 0); row++)
                for (int64_t t = 0; t < wg_size(y, 1); t++) {
                    const int64_t id = b[row * wg_size(y, 1) + t];
                    if (id < 0) continue;
                    seen[id - 'A']++;
                    orders[run][n++] = (char)id;
                    widest = t + 1 > widest ? t + 1 : widest;
                }
            ck_assert_int_eq(widest, wg_size(y, 1)); /* no wider than needed */
        }
        expect_no_error();
        for (int i = 0; i < N; i++) ck_assert_int_eq(seen[i], 1);
        orders[run][N] = 0;
        if (run != 0) wg_loader_free(l);
        pop(s);
    }
    ck_assert_str_ne(orders[0], orders[1]);
    ck_assert_str_eq(orders[0], orders[2]);
    wg_loader *l = wg_loader_new(.examples = e, .batch = 50, .seed = 5);
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    for (int i = 0; i < 3; i++) ck_assert(wg_loader_next(l, &x, &y)); /* without end */
    ck_assert_int_eq(wg_size(x, 0), 50);
    int64_t at[4];
    wg_loader_position(l, at);
    ck_assert_int_eq(at[1], 150);
    ck_assert_int_eq(at[3], N);
    ck_assert_int_eq(wg_loader_seek(l, (int64_t[]) { 0, 3, 5, N }), WG_OK);
    at[3]++;
    ck_assert_int_eq(wg_loader_seek(l, at), WG_EARG);
    expect_error(WG_EARG, "loader_seek: the position is one in 24 examples, these are 23");
    wg_loader_free(l);
    ck_assert_ptr_null(wg_loader_new(.examples = e, .batch = 2, .block = 3));
    expect_error(WG_EARG, "loader_new: with .examples there are no .tokens and no .block");
    ck_assert_ptr_null(wg_loader_new(.examples = e, .batch = 0));
    expect_error(WG_EARG, "loader_new: batch and block must be at least 1");
    wg_examples_free(e);
    pop(s);
}
END_TEST

START_TEST(ids_are_sequences_of_tokens)
{
    static const int64_t vocabularies[] = { 200, 50000, 70000, (int64_t)1 << 32 };
    for (int v = 0; v < 4; v++) {
        const int64_t top = vocabularies[v] - 1, ids[] = { 0, top, 3, 1, 4, top, 1 };
        wg_tokens *t = wg_tokens_ids(ids, 7, top + 1);
        expect_no_error();
        ck_assert_int_eq(wg_tokens_count(t), 7);
        ck_assert_int_eq(wg_tokens_vocab(t), top + 1);
        for (int i = 0; i < 7; i++) ck_assert_int_eq(wg_tokens_at(t, i), ids[i]);
        char text[5];
        ck_assert_int_eq(wg_tokens_decode(t, 3, text), 0);
        const wg_scope s = wg_scope_push();
        wg_loader *l = wg_loader_new(.tokens = t, .batch = 1, .block = 6, .sequential = true);
        wg_tensor *x, *y;
        ck_assert(wg_loader_next(l, &x, &y));
        ck_assert_int_eq(((const int64_t *)wg_data(x))[1], top);
        wg_loader_free(l);
        wg_tokens_free(t);
        pop(s);
    }
    ck_assert_ptr_null(wg_tokens_ids((int64_t[]) { 1, 2, -1 }, 3, 5));
    expect_error(WG_EINDEX, "tokens_ids: id -1 at 2, the vocabulary has 5");
    ck_assert_ptr_null(wg_tokens_ids((int64_t[]) { 5 }, 1, 5));
    expect_error(WG_EINDEX, "tokens_ids: id 5 at 0");
    ck_assert_ptr_null(wg_tokens_ids(NULL, 3, 5));
    expect_error(WG_EARG, "tokens_ids: 3 ids");
    ck_assert_ptr_null(wg_tokens_ids((int64_t[]) { 5 }, 1, 0));
    expect_error(WG_EARG, "tokens_ids: 1 ids of a vocabulary of 0");
}
END_TEST

START_TEST(questions_have_hellaswags_fields)
{
    put_text(
        in_folder("q"),
        "{\"ind\": 4, \"ctx\": \"A man\", \"endings\": [\"runs\", \"\\u00e4\"], \"label\": 1}\n"
        "{\"ctx\": \"\", \"endings\": [\"a\", \"b\", \"c\"], \"label\": \"0\"}\n");
    wg_questions *q = wg_questions_open(in_folder("q"));
    expect_no_error();
    ck_assert_int_eq(wg_questions_count(q), 2);
    const wg_question *a = wg_questions_at(q, 0), *b = wg_questions_at(q, 1);
    ck_assert_str_eq(a->context, "A man");
    ck_assert_str_eq(a->endings[1], "\xC3\xA4");
    ck_assert_int_eq(a->n, 2);
    ck_assert_int_eq(a->label, 1);
    ck_assert_str_eq(b->endings[2], "c");
    ck_assert_int_eq(b->label, 0);
    ck_assert_ptr_null(wg_questions_at(q, 2));
    wg_questions_free(q);
    static const char *const bad[][2] = {
        { "{\"endings\": [\"a\", \"b\"], \"label\": 1}", ":1: \"ctx\" is missing" },
        { "{\"ctx\": \"\", \"endings\": [\"a\"], \"label\": 0}", ":1: \"endings\" is no list" },
        { "{\"ctx\": \"\", \"endings\": \"ab\", \"label\": 0}", ":1: \"endings\" is no list" },
        { "{\"ctx\": \"\", \"endings\": [\"a\", 2], \"label\": 0}", ":1: ending 1 is no string" },
        { "{\"ctx\": \"\", \"endings\": [\"a\", \"b\"], \"label\": 2}", ":1: \"label\" is no" },
        { "{\"ctx\": \"\", \"endings\": [\"a\", \"b\"], \"label\": \"1x\"}", ":1: \"label\"" },
        { "{\"ctx\": \"\", \"endings\": [\"a\", \"b\"], \"label\": \"\"}", ":1: \"label\"" },
        { "\n", ": there is no question in it" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(in_folder("q"), bad[i][0]);
        ck_assert_ptr_null(wg_questions_open(in_folder("q")));
        expect_error(WG_EFORMAT, format("%s%s", in_folder("q"), bad[i][1]));
    }
}
END_TEST

int main(void)
{
    folder_make();
    const int failed = suite_run("examples", (const TTest *[]) {
                                                 only_the_answer_is_learned,
                                                 a_token_across_the_seam_belongs_to_the_answer,
                                                 what_is_too_long_loses_the_prompts_beginning_first,
                                                 malformed_lines_are_named,
                                                 damaged_lines_neither_crash_nor_leak,
                                                 a_shuffled_pass_has_every_example_once,
                                                 ids_are_sequences_of_tokens,
                                                 questions_have_hellaswags_fields,
                                                 NULL,
                                             });
    folder_remove();
    return failed;
}
