/* Chats as prompts: what models' templates make of messages. A template is recognised by the marks
 * that it writes; its form stands below as a row. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "wengert/error.h"
#include "wengert/generate.h"

/* What is written before and after a role's content. An empty `before` is a role that the form
 * lacks; a system message of such a form goes in front of the first user's, if `folds` says with
 * what between. */
typedef struct {
    const char *name;
    const char *marks[3]; /* all of these stand in the template */
    const char *begin;
    struct {
        const char *before, *after;
    } system, user, assistant;
    const char *answer; /* what stands where the assistant begins */
    const char *folds;  /* between system's and the first user's content; NULL: system has a turn */
} form;

static const form forms[] = {
    { .name = "ChatML",
      .marks = { "<|im_start|>" },
      .begin = "",
      .system = { "<|im_start|>system\n", "<|im_end|>\n" },
      .user = { "<|im_start|>user\n", "<|im_end|>\n" },
      .assistant = { "<|im_start|>assistant\n", "<|im_end|>\n" },
      .answer = "<|im_start|>assistant\n" },
    { .name = "Llama 3",
      .marks = { "<|start_header_id|>", "<|eot_id|>" },
      .begin = "<|begin_of_text|>",
      .system = { "<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>" },
      .user = { "<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>" },
      .assistant = { "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>" },
      .answer = "<|start_header_id|>assistant<|end_header_id|>\n\n" },
    { .name = "Phi-3",
      .marks = { "<|assistant|>", "<|end|>" },
      .begin = "",
      .system = { "<|system|>\n", "<|end|>\n" },
      .user = { "<|user|>\n", "<|end|>\n" },
      .assistant = { "<|assistant|>\n", "<|end|>\n" },
      .answer = "<|assistant|>\n" },
    { .name = "Zephyr",
      .marks = { "<|assistant|>", "<|user|>" },
      .begin = "",
      .system = { "<|system|>\n", "</s>\n" },
      .user = { "<|user|>\n", "</s>\n" },
      .assistant = { "<|assistant|>\n", "</s>\n" },
      .answer = "<|assistant|>\n" },
    { .name = "Gemma",
      .marks = { "<start_of_turn>" },
      .begin = "<bos>",
      .user = { "<start_of_turn>user\n", "<end_of_turn>\n" },
      .assistant = { "<start_of_turn>model\n", "<end_of_turn>\n" },
      .answer = "<start_of_turn>model\n",
      .folds = "\n\n" },
    { .name = "Llama 2",
      .marks = { "[INST]", "<<SYS>>" },
      .begin = "",
      .system = { "<<SYS>>\n", "" },
      .user = { "<s>[INST] ", " [/INST]" },
      .assistant = { " ", " </s>" },
      .answer = "",
      .folds = "\n<</SYS>>\n\n" },
    { .name = "Mistral",
      .marks = { "[INST]" },
      .begin = "<s>",
      .user = { "[INST] ", " [/INST]" },
      .assistant = { " ", "</s>" },
      .answer = "",
      .folds = "\n\n" },
};

static const form *recognise(const char *chat_template)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bool all = true;
        for (int k = 0; k < 3 && forms[i].marks[k]; k++)
            all &= strstr(chat_template, forms[i].marks[k]) != NULL;
        if (all) return &forms[i];
    }
    wg_raise(WG_ENOTFOUND, "chat_prompt: the template is none of those that are known: ChatML, "
                           "Llama 2, Llama 3, Mistral, Zephyr, Gemma, Phi-3");
    return NULL;
}

/* Appends to a text that is measured first (to = NULL) and written then. */
typedef struct {
    char *to;
    size_t n;
} text;

static void put_n(text *t, const char *s, size_t n)
{
    if (t->to) memcpy(t->to + t->n, s, n);
    t->n += n;
}

static void put(text *t, const char *s)
{
    if (s) put_n(t, s, strlen(s));
}

/* Where a role's turn stands in the form; 0 system, 1 user, 2 assistant, -1 none. */
static int role_of(const char *role)
{
    static const char *const names[] = { "system", "user", "assistant" };
    for (int r = 0; r < 3; r++)
        if (role && strcmp(role, names[r]) == 0) return r;
    return -1;
}

/* What a ChatML template says itself where the first message is no system's ("You are a helpful
 * assistant.", Qwen2): the text between its mark of a system turn and the end of the turn; n = 0 if
 * that is no plain text. In a template a new line may be spelled backslash, n. */
static const char *default_system(const char *chat_template, size_t *n)
{
    static const char mark[] = "<|im_start|>system";
    for (const char *p = chat_template; (p = strstr(p, mark));) {
        p += sizeof mark - 1;
        p += p[0] == '\n' ? 1 : p[0] == '\\' && p[1] == 'n' ? 2 : 0;
        *n = strcspn(p, "<'\"{");
        if (*n && strncmp(p + *n, "<|im_end|>", 10) == 0) return p;
    }
    *n = 0;
    return "";
}

static void write_chat(text *t, const form *f, const char *chat_template, const wg_message *m,
                       int64_t n)
{
    const char *folded = NULL;
    size_t said = 0;
    put(t, f->begin);
    const char *system = f == &forms[0] ? default_system(chat_template, &said) : "";
    if (said && role_of(m[0].role) != 0) {
        put(t, f->system.before);
        put_n(t, system, said);
        put(t, f->system.after);
    }
    for (int64_t i = 0; i < n; i++) {
        const int role = role_of(m[i].role);
        if (role == 0 && f->folds) {
            folded = m[i].content;
            continue;
        }
        put(t, role == 0 ? f->system.before : role == 1 ? f->user.before : f->assistant.before);
        if (role == 1 && folded) {
            put(t, f->system.before);
            put(t, folded);
            put(t, f->folds);
            folded = NULL;
        }
        put(t, m[i].content);
        put(t, role == 0 ? f->system.after : role == 1 ? f->user.after : f->assistant.after);
    }
    put(t, f->answer);
}

static bool fine(const form *f, const wg_message *m, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const int role = role_of(m[i].role);
        /* A system message that is folded needs a user's after it. */
        const bool stands = role > 0 || (role == 0 && (!f->folds || (i == 0 && n > 1)));
        if (stands && m[i].content) continue;
        wg_raise(WG_EARG,
                 "chat_prompt: message %lld has the role \"%s\", which %s's form lacks there",
                 (long long)i, m[i].role ? m[i].role : "", f->name);
        return false;
    }
    return true;
}

char *wg_chat_prompt(const char *chat_template, const wg_message *messages, int64_t n)
{
    if (!chat_template || !messages || n < 1) {
        wg_raise(WG_EARG, "chat_prompt: no template or no messages");
        return NULL;
    }
    const form *f = recognise(chat_template);
    if (!f || !fine(f, messages, n)) return NULL;
    text t = { NULL, 0 };
    write_chat(&t, f, chat_template, messages, n);
    t.to = malloc(t.n + 1);
    if (!t.to) {
        wg_raise(WG_EMEM, "chat_prompt: out of memory");
        return NULL;
    }
    t.to[t.n] = 0;
    t.n = 0;
    write_chat(&t, f, chat_template, messages, n);
    return t.to;
}
