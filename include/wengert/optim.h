/* Optimizers, clipping, schedules. */
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
    double lr_scale, weight_decay;
    bool skip;
} wg_group;
/** Called once per parameter by name. */
typedef void (*wg_group_fn)(void *self, const wg_param_ref *p, wg_group *g);

/** PyTorch's defaults for zeros. Decay goes to every parameter unless a group says otherwise. */
typedef struct {
    wg_module *model;
    double lr, momentum, dampening, weight_decay;
    bool nesterov;
    wg_group_fn group;
    void *self;
    char end;
} wg_sgd_args;
typedef struct {
    wg_module *model;
    double lr, beta1, beta2, eps, weight_decay;
    wg_group_fn group;
    void *self;
    char end;
} wg_adam_args;
typedef wg_adam_args wg_adamw_args;
typedef struct {
    wg_module *model;
    double lr, beta1, beta2, weight_decay;
    wg_group_fn group;
    void *self;
    char end;
} wg_lion_args;
/** Muon for matrices; other parameters get AdamW with adamw_lr, beta1, beta2, eps. */
typedef struct {
    wg_module *model;
    double lr, momentum, weight_decay, adamw_lr, beta1, beta2, eps;
    int64_t steps;
    wg_group_fn group;
    void *self;
    char end;
} wg_muon_args;
WG_API wg_optim *wg_sgd_call(wg_sgd_args a);
WG_API wg_optim *wg_adam_call(wg_adam_args a);
WG_API wg_optim *wg_adamw_call(wg_adamw_args a);
WG_API wg_optim *wg_lion_call(wg_lion_args a);
WG_API wg_optim *wg_muon_call(wg_muon_args a);
WG_API void wg_optim_free(wg_optim *o);

/** One step; consumes the gradients. Changes nothing and returns the error while one is pending. */
WG_API wg_status wg_optim_step(wg_optim *o);
WG_API void wg_optim_drop_grads(wg_optim *o);
WG_API void wg_optim_set_lr(wg_optim *o, double lr);
WG_API double wg_optim_lr(const wg_optim *o);
/** Scales the gradients so that their global 2-norm is at most max_norm; returns the norm before, 0-d. */
WG_API wg_tensor *wg_clip_grad_norm(wg_optim *o, double max_norm);
/** Clamps every gradient element to [-limit, limit]. */
WG_API wg_status wg_clip_grad_value(wg_optim *o, double limit);

/** State as named tensors, for checkpoints: "<parameter>.exp_avg", ... The lists live as long as the innermost scope. */
WG_API wg_params wg_optim_state(wg_optim *o);
/** Puts named tensors back; a name or shape that does not fit raises and changes nothing. */
WG_API WG_MUST_CHECK wg_status wg_optim_load(wg_optim *o, wg_params state, int64_t step);
WG_API int64_t wg_optim_steps(const wg_optim *o);

typedef enum { WG_CONSTANT, WG_LINEAR, WG_COSINE, WG_WSD } wg_schedule_kind;
/** Linear warm-up over `warmup` steps to peak, then by kind down to floor at `total`; WSD stays at peak until the last
 * `decay` steps. */
typedef struct {
    wg_schedule_kind kind;
    double peak, floor;
    int64_t warmup, decay, total;
} wg_schedule;
/** Pure: nothing to save. */
WG_API double wg_schedule_at(const wg_schedule *s, int64_t step);

#ifdef __cplusplus
}
#endif
#define wg_sgd_new(...) WG_HERE(wg_sgd_call(WG_ARGS(wg_sgd_args, __VA_ARGS__)))
#define wg_adam_new(...) WG_HERE(wg_adam_call(WG_ARGS(wg_adam_args, __VA_ARGS__)))
#define wg_adamw_new(...) WG_HERE(wg_adamw_call(WG_ARGS(wg_adamw_args, __VA_ARGS__)))
#define wg_lion_new(...) WG_HERE(wg_lion_call(WG_ARGS(wg_lion_args, __VA_ARGS__)))
#define wg_muon_new(...) WG_HERE(wg_muon_call(WG_ARGS(wg_muon_args, __VA_ARGS__)))
#endif
