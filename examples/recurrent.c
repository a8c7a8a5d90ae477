/* A recurrent net whose state lives across scopes: it hears one bit a step and has to say the one of DELAY steps ago.
 * Truncated backpropagation through time: each scope unrolls WINDOW steps, then the state goes on without its history. */
#include <wengert/wengert.h>

enum { BATCH = 32, HIDDEN = 32, WINDOW = 12, DELAY = 3, ROUNDS = 400 };

typedef struct {
    wg_module base;
    wg_module *in, *back, *out;
} rnn; /* h' = tanh(W x + U h), y = V h' */

static void rnn_init(wg_module *m, const void *config)
{
    (void)config;
    rnn *self = (rnn *)m;
    wg_child(m, "in", &self->in, wg_linear_new(1, HIDDEN));
    wg_child(m, "back", &self->back, wg_linear_new(HIDDEN, HIDDEN));
    wg_child(m, "out", &self->out, wg_linear_new(HIDDEN, 1));
}
static const wg_module_type rnn_type = { .name = "rnn", .size = sizeof(rnn), .init = rnn_init };

/* x: (B, 1), *h: (B, HIDDEN), replaced -> y: (B, 1) */
static wg_tensor *rnn_step(wg_module *m, wg_tensor *x, wg_tensor **h)
{
    rnn *self = (rnn *)m;
    wg_scope s = wg_module_enter(m);
    *h = wg_scope_keep(s, wg_tanh(wg_add(wg_forward(self->in, x), wg_forward(self->back, *h))));
    return wg_scope_return(s, wg_forward(self->out, *h));
}

/* One window: its mean loss. bits: (B, WINDOW + DELAY) of which the last WINDOW are new. */
static wg_tensor *window_loss(wg_module *m, wg_tensor *bits, wg_tensor **h)
{
    wg_list losses = wg_list_new(WINDOW);
    for (int t = 0; t < losses.n; t++) {
        wg_tensor *y = rnn_step(m, wg_narrow(bits, 1, DELAY + t, 1), h);
        losses.t[t] = wg_bce_with_logits(y, wg_narrow(bits, 1, t, 1));
    }
    return wg_mean(wg_stack(losses, 0), WG_ALL, false);
}

int main(void)
{
    wg_seed(3);
    wg_scope all = wg_scope_push();
    wg_module *m = wg_module_new(&rnn_type, NULL);
    wg_optim *opt = wg_adamw_new(m, .lr = 5e-3);
    wg_tensor *state = NULL, *past = NULL; /* references of our own: they outlive each scope */
    wg_set(&state, wg_zeros(WG_DIMS(BATCH, HIDDEN)));
    wg_set(&past, wg_zeros(WG_DIMS(BATCH, DELAY)));
    double last = 1;
    for (int round = 0; round < ROUNDS; round++) {
        wg_scope s = wg_scope_push();
        wg_tensor *fresh = wg_cast(wg_gt(wg_rand(WG_DIMS(BATCH, WINDOW)), wg_scalar(0.5)), WG_F32);
        wg_tensor *bits = wg_cat(WG_LIST(past, fresh), 1), *h = state;
        wg_tensor *loss = window_loss(m, bits, &h);
        wg_backward(loss);
        wg_clip_grad_norm(opt, 1.0);
        wg_optim_step(opt);
        last = wg_item(loss);
        if (round % 100 == 0) printf("round %3d  loss %.4f\n", round, last);
        wg_set(&state, wg_detach(h)); /* the value goes on, the history ends here */
        wg_set(&past, wg_contiguous(wg_narrow(bits, 1, WINDOW, DELAY)));
        if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
    }
    printf("loss after %d rounds: %.4f (guessing: 0.6931)\n", ROUNDS, last);
    wg_unref(&state);
    wg_unref(&past);
    wg_optim_free(opt);
    wg_module_free(m);
    if (wg_scope_pop(all) != WG_OK) return wg_error_print(stderr);
    return last < 0.1 ? 0 : 1;
}
