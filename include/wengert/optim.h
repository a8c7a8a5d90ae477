/* Optimizers, clipping, schedules. An optimizer walks its model's parameters at every step, so parameters may be frozen,
 * unfrozen, tied, swapped, moved and cast in between. Loop: forward, wg_backward, wg_optim_step_clipped. */
#ifndef WENGERT_OPTIM_H
#define WENGERT_OPTIM_H
#include "base.h"
#include "module.h"
#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_optim wg_optim;
/** What a parameter group may change; given with the optimizer's own values. */
typedef struct {
    double lr_scale;     /**< multiplies the learning rate [1] */
    double weight_decay; /**< here 0 is none [the optimizer's] */
    bool skip; /**< never changed, nor counted in clipping; its gradient is dropped at every step */
    bool
        matrix; /**< Muon: orthogonalised, not AdamW [2-d, not an embedding's, not named `*lm_head.weight` or
                              `output.weight`]; true only for 2-d parameters */
} wg_group;
/** Called once per parameter, when the optimizer first meets it with a gradient, lists or loads its state. */
typedef void (*wg_group_fn)(void *self, const wg_param_ref *p, wg_group *g);

/* In all of the following: model is not owned and must outlive the optimizer; a number that is 0 takes PyTorch's default,
 * in brackets; a negative weight_decay is none; decay goes to every parameter unless a group says otherwise; group may be
 * NULL, self is its first argument. State is f32, f64 for f64 parameters; 16-bit parameters are computed in f32 and rounded
 * once. A step also writes the 16-bit copy that autocast keeps of an f32 parameter, where no graph that waits for backward
 * has it (Muon: of what is no matrix). NULL and WG_EARG: model is NULL or a number is out of range. */

/** d = g + weight_decay p;  m = momentum m + (1 - dampening) d, m = d at first;  p -= lr m, or with nesterov
 * p -= lr (d + momentum m), without momentum p -= lr d. State: "momentum_buffer" if there is a momentum.
 * Source: Sutskever et al. 2013, in PyTorch's form. */
typedef struct {
    wg_module *model;
    double lr;           /**< [1e-3] */
    double momentum;     /**< [0] */
    double dampening;    /**< [0] */
    double weight_decay; /**< L2 [0] */
    bool nesterov;       /**< wants a momentum and no dampening */
    wg_group_fn group;
    void *self;
    char end;
} wg_sgd_args;
/** m += (1 - beta1)(d - m);  v = beta2 v + (1 - beta2) d^2;
 * p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps), t the steps taken on this parameter.
 * wg_adam: d = g + weight_decay p (L2) [0]; Kingma & Ba, arXiv:1412.6980.
 * wg_adamw: d = g, and p *= 1 - lr weight_decay before [0.01]; Loshchilov & Hutter, arXiv:1711.05101.
 * State: "exp_avg" (m), "exp_avg_sq" (v). */
typedef struct {
    wg_module *model;
    double lr;           /**< [1e-3] */
    double beta1, beta2; /**< [0.9, 0.999] */
    double eps;          /**< [1e-8] */
    double weight_decay; /**< [wg_adam: 0, wg_adamw: 0.01] */
    wg_group_fn group;
    void *self;
    char end;
} wg_adam_args;
typedef wg_adam_args wg_adamw_args;
/** p = p (1 - lr weight_decay) - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g. State: "exp_avg".
 * Source: Chen et al., arXiv:2302.06675 (defaults too). */
typedef struct {
    wg_module *model;
    double lr;           /**< [1e-4] */
    double beta1, beta2; /**< [0.9, 0.99] */
    double weight_decay; /**< [0] */
    wg_group_fn group;
    void *self;
    char end;
} wg_lion_args;
/** For matrices (wg_group.matrix): m += (1 - momentum)(g - m);  u = g + momentum (m - g);
 * p = p (1 - lr weight_decay) - lr sqrt(max(1, rows / columns)) O(u), where O(u) has u's singular vectors and singular
 * values near 1, by `steps` quintic Newton-Schulz iterations (3.4445, -4.7750, 2.0315) in f32. State: "momentum_buffer".
 * Other parameters: AdamW with adamw_lr, beta1, beta2, eps; wg_optim_set_lr changes both rates in proportion.
 * Source: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024, and its reference code, whose
 * scale and defaults these are (PyTorch's torch.optim.Muon differs in both). */
typedef struct {
    wg_module *model;
    double lr;           /**< [0.02] */
    double momentum;     /**< [0.95] */
    double weight_decay; /**< of all parameters [0] */
    double adamw_lr;     /**< [3e-4] */
    double beta1, beta2; /**< [0.9, 0.95] */
    double eps;          /**< [1e-10] */
    int64_t steps;       /**< [5] */
    wg_group_fn group;
    void *self;
    char end;
} wg_muon_args;
WG_API wg_optim *wg_sgd_call(wg_sgd_args a);
WG_API wg_optim *wg_adam_call(wg_adam_args a);
WG_API wg_optim *wg_adamw_call(wg_adamw_args a);
WG_API wg_optim *wg_lion_call(wg_lion_args a);
WG_API wg_optim *wg_muon_call(wg_muon_args a);
/** Frees the state, not the model. NULL is fine. */
WG_API void wg_optim_free(wg_optim *o);

/** One step on every parameter that has a gradient; consumes (drops) the gradients. Parameters without one stay as they
 * are, and so does their state. Changes nothing and returns the error while one is pending. */
WG_API wg_status wg_optim_step(wg_optim *o);
/** Drops the gradients of all of the model's parameters. */
WG_API void wg_optim_drop_grads(wg_optim *o);
/** From the next step on; 0 is a rate of 0 here. */
WG_API void wg_optim_set_lr(wg_optim *o, double lr);
WG_API double wg_optim_lr(const wg_optim *o);
/** Scales the gradients, in place, by min(1, max_norm / (norm + 1e-6)); returns norm = sqrt(sum of all squares) before that,
 * () f32 (f64 if a gradient is), on the gradients' device: nothing waits for it. Squares are added in f64 in a fixed order.
 * A norm that is not finite makes gradients NaN or zero, as in PyTorch: look at it before the step if that may happen.
 * Parameters that a group skips do not count. Source: Pascanu et al., arXiv:1211.5063. */
WG_API wg_tensor *wg_clip_grad_norm(wg_optim *o, double max_norm);
/** wg_clip_grad_norm and wg_optim_step as one, to the last bit, without the pass over all gradients that clipping takes
 * by itself: the step multiplies them as it reads them. Returns the norm, likewise; an error tensor, and nothing is
 * changed, where either would fail. */
WG_API wg_tensor *wg_optim_step_clipped(wg_optim *o, double max_norm);
/** Clamps every gradient element to [-limit, limit]. */
WG_API wg_status wg_clip_grad_value(wg_optim *o, double limit);

/* ---- f16: a dynamic loss scale --------------------------------------------------------------- */
/* Gradients of f16 activations may be too small for f16. The loss is multiplied by a scale that the update takes out again;
 * where gradients overflow, the step is left out and the scale backs off. bf16 and f32 need none. Loop:
 *     wg_backward(wg_scaler_scale(scaler, loss));
 *     wg_scaler_step(scaler, opt, 1.0);
 * All of it stays on the device: no step waits for the host. A scaler is for one optimizer, whose parameters lie on one
 * device. Source: Micikevicius et al., arXiv:1710.03740; the rule and its defaults are PyTorch's GradScaler's. */
typedef struct wg_scaler wg_scaler;
typedef struct {
    double scale;     /**< at first [65536] */
    double growth;    /**< after `interval` steps without overflow it is multiplied by this [2] */
    double backoff;   /**< after an overflow by this [0.5] */
    int64_t interval; /**< [2000] */
    char end;
} wg_scaler_args;
/** On the current device; it follows the losses that it scales. NULL and WG_EARG: a number is out of range. */
WG_API wg_scaler *wg_scaler_call(wg_scaler_args a);
/** NULL is fine. */
WG_API void wg_scaler_free(wg_scaler *s);
/** loss times the scale, f32 for f16 losses: what wg_backward then begins with. */
WG_API wg_tensor *wg_scaler_scale(wg_scaler *s, wg_tensor *loss);
/** wg_optim_step_clipped of gradients that carry the scale (max_norm INFINITY: no clipping), and the scale's next value.
 * Returns the norm without the scale. Where that is not finite the step is none: parameters, state and the counts of steps
 * keep their bits. 16-bit gradients are taken as they are: multiplied in f32, not rounded again. Consumes the gradients. */
WG_API wg_tensor *wg_scaler_step(wg_scaler *s, wg_optim *o, double max_norm);
/** The scale as it is, read from the device. */
WG_API double wg_scaler_value(wg_scaler *s);
/** "scale" () f32 and "good" () i64, the good steps since it last changed: its own tensors, for checkpoints. */
WG_API wg_params wg_scaler_state(wg_scaler *s);
/** Puts them back. WG_ENOTFOUND, WG_ESHAPE, WG_EARG: they are not such; nothing is changed. */
WG_API WG_MUST_CHECK wg_status wg_scaler_load(wg_scaler *s, wg_params state);

/** State as named tensors, for checkpoints: "<parameter>.exp_avg", ...; and "<parameter>.step" (i64) for parameters that
 * have taken fewer steps than the optimizer. The lists live as long as the innermost scope; the tensors are the optimizer's
 * own, not copies. */
WG_API wg_params wg_optim_state(wg_optim *o);
/** Puts named tensors (copied) and the number of steps back; a parameter of which there is none starts anew. A name or
 * shape that does not fit raises WG_ENOTFOUND, WG_ESHAPE and changes nothing. */
WG_API WG_MUST_CHECK wg_status wg_optim_load(wg_optim *o, wg_params state, int64_t step);
/** Steps taken; under a wg_scaler read from the device. */
WG_API int64_t wg_optim_steps(const wg_optim *o);

typedef enum { WG_CONSTANT, WG_LINEAR, WG_COSINE, WG_WSD } wg_schedule_kind;
/** Linear warm-up over `warmup` steps to peak, then by kind down to floor at `total`; WSD (warm-up, stable, decay: Hu et
 * al., arXiv:2404.06395) stays at peak until the last `decay` steps and falls linearly. WG_CONSTANT ignores floor and
 * total. */
typedef struct {
    wg_schedule_kind kind;
    double peak, floor;
    int64_t warmup, decay, total;
} wg_schedule;
/** The rate at step (from 0): peak (step + 1) / (warmup + 1) while step < warmup (nanoGPT's), then with
 * t = (step - warmup) / (total - warmup), or (step - total + decay) / decay for WSD, held within [0, 1]:
 * linear and WSD peak + t (floor - peak), cosine floor + (peak - floor)(1 + cos(pi t)) / 2. Pure: nothing to save. */
WG_API double wg_schedule_at(const wg_schedule *s, int64_t step);

#ifdef __cplusplus
}
#endif
#define wg_sgd_new(...) WG_HERE(wg_sgd_call(WG_ARGS(wg_sgd_args, __VA_ARGS__)))
#define wg_adam_new(...) WG_HERE(wg_adam_call(WG_ARGS(wg_adam_args, __VA_ARGS__)))
#define wg_adamw_new(...) WG_HERE(wg_adamw_call(WG_ARGS(wg_adamw_args, __VA_ARGS__)))
#define wg_lion_new(...) WG_HERE(wg_lion_call(WG_ARGS(wg_lion_args, __VA_ARGS__)))
#define wg_scaler_new(...) WG_HERE(wg_scaler_call(WG_ARGS(wg_scaler_args, __VA_ARGS__)))
#define wg_muon_new(...) WG_HERE(wg_muon_call(WG_ARGS(wg_muon_args, __VA_ARGS__)))
#endif
