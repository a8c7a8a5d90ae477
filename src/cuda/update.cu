/* One pass over everything that an optimizer has: a thread takes a group of neighbours, loads all operands, then stores. The
 * order of operations is the CPU's (src/cpu/update.inc.h), which is PyTorch's. */
#include "cuda/update.cuh"

namespace
{

using wgi::get, wgi::number, wgi::put;

enum { THREADS = 256 };

template <class T> constexpr int group = sizeof(T) == 4 ? 4 : 2;

__device__ __forceinline__ float sqrt_of(float x)
{
    return wgi_sqrt_f32(x);
}
__device__ __forceinline__ double sqrt_of(double x)
{
    return wgi_sqrt_f64(x);
}
__device__ __forceinline__ float sign_of(float x)
{
    return wgi_sign_f32(x);
}
__device__ __forceinline__ double sign_of(double x)
{
    return wgi_sign_f64(x);
}

/* Where a kernel's operands are: neighbours in an entry of the table. PLAIN: f32, so that no type is asked for. */
template <bool PLAIN> struct in_entry {
    const wgi_update_entry &e;
    int64_t at;
    int count;
    __device__ __forceinline__ int type(int k) const { return PLAIN ? int(WG_F32) : e.type[k]; }
    __device__ __forceinline__ bool has(int k) const { return e.data[k] != nullptr; }
    template <class T, int V> __device__ __forceinline__ void load(int k, T (&v)[V]) const
    {
        get<T, V>(e.data[k], type(k), at, count, v);
    }
    template <class T, int V> __device__ __forceinline__ void store(int k, const T (&v)[V]) const
    {
        put<T, V>(e.data[k], k == WGI_UPDATE_LOW ? e.type[k] : type(k), at, count, v);
    }
};

/* Or a group of a pass. */
struct in_pass {
    const wgi_pass &p;
    const wgi_group &g;
    __device__ __forceinline__ int type(int k) const { return p.o[k].type; }
    __device__ __forceinline__ bool has(int k) const { return p.o[k].kind != WGI_OPERAND_ABSENT; }
    template <class T, int V> __device__ __forceinline__ void load(int k, T (&v)[V]) const
    {
        wgi::load_operand<T, V>(p, k, g, v);
    }
    template <class T, int V> __device__ __forceinline__ void store(int k, const T (&v)[V]) const
    {
        wgi::store_operand<T, V>(p, k, g, v);
    }
};

/* ---- formulas -------------------------------------------------------------------------------- */

/* One product, rounded to the gradient's dtype unless it carries a loss scale: as on the CPU. */
__device__ __forceinline__ float product(float g, float factor, int type, bool scaled)
{
    const float d = g * factor;
    if (scaled || type == WG_F32) return d;
    return type == WG_BF16 ? wgi_bf16_to_f32(wgi_f32_to_bf16(d))
                           : wgi_f16_to_f32(wgi_f32_to_f16(d));
}

template <class T, int V, class Where>
__device__ __forceinline__ void gradient(const Where &w, double factor, bool scaled, T (&d)[V])
{
    const int type = w.type(WGI_UPDATE_G);
    if (type == WG_F64) {
        double g[V];
        w.template load<double, V>(WGI_UPDATE_G, g);
#pragma unroll
        for (int i = 0; i < V; i++) d[i] = T(g[i] * factor);
        return;
    }
    float g[V];
    w.template load<float, V>(WGI_UPDATE_G, g);
#pragma unroll
    for (int i = 0; i < V; i++)
        d[i] = T(factor == 1 ? g[i] : product(g[i], float(factor), type, scaled));
}

template <class T, int V>
__device__ __forceinline__ void adam(const wgi_update_rule &r, const wgi_update_numbers &n,
                                     T (&p)[V], const T (&d)[V], T (&m)[V], T (&v)[V])
{
    const T keep = T(n.keep), decay = T(n.decay), rest1 = T(1 - r.beta1), beta2 = T(r.beta2),
            rest2 = T(1 - r.beta2), eps = T(r.eps), rate = T(n.rate), root = T(n.part);
#pragma unroll
    for (int i = 0; i < V; i++) {
        const T q = p[i] * keep, e = d[i] + decay * p[i];
        m[i] += (e - m[i]) * rest1;
        v[i] = v[i] * beta2 + rest2 * e * e;
        p[i] = q - rate * (m[i] / (sqrt_of(v[i]) * root + eps));
    }
}

template <class T, int V, bool MOMENTUM>
__device__ __forceinline__ void sgd(const wgi_update_rule &r, const wgi_update_numbers &n,
                                    T (&p)[V], const T (&d)[V], T (&m)[V])
{
    const T lr = T(n.rate), decay = T(n.decay), mu = T(r.momentum), undamped = T(n.part),
            own = r.nesterov ? T(1) : T(0), ahead = r.nesterov ? mu : T(1);
#pragma unroll
    for (int i = 0; i < V; i++) {
        const T e = d[i] + decay * p[i];
        if constexpr (MOMENTUM) {
            m[i] = mu * m[i] + undamped * e;
            p[i] -= lr * (own * e + ahead * m[i]);
        } else {
            p[i] -= lr * e;
        }
    }
}

template <class T, int V>
__device__ __forceinline__ void lion(const wgi_update_rule &r, const wgi_update_numbers &n,
                                     T (&p)[V], const T (&d)[V], T (&m)[V])
{
    const T lr = T(n.rate), keep = T(n.keep), beta1 = T(r.beta1), rest1 = T(1 - r.beta1),
            beta2 = T(r.beta2), rest2 = T(1 - r.beta2);
#pragma unroll
    for (int i = 0; i < V; i++) {
        p[i] = p[i] * keep - lr * sign_of(beta1 * m[i] + rest1 * d[i]);
        m[i] = beta2 * m[i] + rest2 * d[i];
    }
}

/* Loads, steps and stores one group. */
template <class T, int KIND, class Where>
__device__ __forceinline__ void step(const Where &w, const wgi_update_rule &r,
                                     const wgi_update_numbers &n, double factor)
{
    constexpr int V = group<T>;
    T p[V], d[V], m[V] = {}, v[V];
    w.template load<T, V>(WGI_UPDATE_P, p);
    gradient<T, V>(w, factor, r.scaled, d);
    if constexpr (KIND != WGI_RULE_SGD) w.template load<T, V>(WGI_UPDATE_STATE, m);
    if constexpr (KIND == WGI_RULE_ADAM) {
        w.template load<T, V>(WGI_UPDATE_STATE + 1, v);
        adam<T, V>(r, n, p, d, m, v);
    }
    if constexpr (KIND == WGI_RULE_SGD) sgd<T, V, false>(r, n, p, d, m);
    if constexpr (KIND == WGI_RULE_SGD_MOMENTUM) sgd<T, V, true>(r, n, p, d, m);
    if constexpr (KIND == WGI_RULE_LION) lion<T, V>(r, n, p, d, m);
    w.template store<T, V>(WGI_UPDATE_P, p);
    if (w.has(WGI_UPDATE_LOW)) w.template store<T, V>(WGI_UPDATE_LOW, p);
    if constexpr (KIND != WGI_RULE_SGD) w.template store<T, V>(WGI_UPDATE_STATE, m);
    if constexpr (KIND == WGI_RULE_ADAM) w.template store<T, V>(WGI_UPDATE_STATE + 1, v);
}

/* ---- the table ------------------------------------------------------------------------------- */

__device__ __forceinline__ bool is_no_step(const wgi_update_rule &r, double factor)
{
    return r.scaled && factor != factor;
}

template <class T, int KIND, bool PLAIN>
__device__ __forceinline__ void step_chunk(const wgi_update_entry &e, int64_t first,
                                           const wgi_update_rule &r, const wgi_update_numbers &n,
                                           double factor)
{
    constexpr int V = group<T>;
    const int64_t left = e.n - first;
    const int count = int(left < WGI_UPDATE_CHUNK ? left : int64_t(WGI_UPDATE_CHUNK));
    for (int i = int(threadIdx.x) * V; i < count; i += THREADS * V) {
        const in_entry<PLAIN> w = { e, first + i, count - i < V ? count - i : V };
        step<T, KIND>(w, r, n, factor);
    }
}

template <class T, int KIND>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 3 : 2)
    update(const __grid_constant__ wgi_update_table t)
{
    const double factor = number(t.factor, t.factor_type, 1);
    if (is_no_step(t.rule, factor)) return;
    for (int64_t c = blockIdx.x; c < t.chunks; c += gridDim.x) {
        const int at = wgi_update_entry_of(&t, c);
        const wgi_update_entry &e = t.entry[at];
        const int64_t first = (c - e.first) * WGI_UPDATE_CHUNK;
        wgi_update_numbers n = e.numbers;
        if (t.at) {
            n.rate = t.at[2 * at];
            n.part = t.at[2 * at + 1];
        }
        if constexpr (sizeof(T) == 4) {
            if (e.plain) {
                step_chunk<T, KIND, true>(e, first, t.rule, n, factor);
                continue;
            }
        }
        step_chunk<T, KIND, false>(e, first, t.rule, n, factor);
    }
}

template <class T, int KIND>
__global__ void __launch_bounds__(THREADS, 4)
    update_pass(const __grid_constant__ wgi_update_pass l, int64_t groups)
{
    const double factor = number(l.factor, l.factor_type, 1);
    if (is_no_step(l.rule, factor)) return;
    wgi_update_numbers n = l.numbers;
    if (l.at) {
        n.rate = l.at[0];
        n.part = l.at[1];
    }
    const int64_t stride = int64_t(gridDim.x) * blockDim.x;
    for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < groups; i += stride) {
        wgi_group g;
        wgi_pass_locate(&l.pass, group<T>, i, &g);
        const in_pass w = { l.pass, g };
        step<T, KIND>(w, l.rule, n, factor);
    }
}

/* A thread an entry. */
__global__ void __launch_bounds__(THREADS) counts(const __grid_constant__ wgi_update_table t)
{
    const int i = int(threadIdx.x);
    if (i >= t.n) return;
    const wgi_update_entry &e = t.entry[i];
    double rate = e.numbers.rate, part = e.numbers.part;
    if (e.taken) {
        const int64_t step = *e.taken + 1;
        wgi_update_at(&t.rule, e.lr, step, &rate, &part);
        if (!is_no_step(t.rule, number(t.factor, t.factor_type, 1))) *e.taken = step;
    }
    t.at[2 * i] = rate;
    t.at[2 * i + 1] = part;
}

static_assert(int(WGI_UPDATE_ENTRIES) <= int(THREADS), "a thread an entry");

/* ---- launches -------------------------------------------------------------------------------- */

template <class T, int KIND> void run(const wgi_update_table *t, cudaStream_t s)
{
    update<T, KIND><<<wgi::blocks_for(t->chunks, 1), THREADS, 0, s>>>(*t);
}

template <class T> void dispatch(const wgi_update_table *t, cudaStream_t s)
{
    switch (t->rule.kind) {
    case WGI_RULE_ADAM: run<T, WGI_RULE_ADAM>(t, s); break;
    case WGI_RULE_SGD: run<T, WGI_RULE_SGD>(t, s); break;
    case WGI_RULE_SGD_MOMENTUM: run<T, WGI_RULE_SGD_MOMENTUM>(t, s); break;
    default: run<T, WGI_RULE_LION>(t, s); break;
    }
}

template <class T, int KIND> void run_pass(const wgi_update_pass *l, cudaStream_t s)
{
    const int64_t groups = wgi_pass_groups(&l->pass, group<T>);
    update_pass<T, KIND><<<wgi::blocks_for(groups, THREADS), THREADS, 0, s>>>(*l, groups);
}

template <class T> void dispatch_pass(const wgi_update_pass *l, cudaStream_t s)
{
    switch (l->rule.kind) {
    case WGI_RULE_ADAM: run_pass<T, WGI_RULE_ADAM>(l, s); break;
    case WGI_RULE_SGD: run_pass<T, WGI_RULE_SGD>(l, s); break;
    case WGI_RULE_SGD_MOMENTUM: run_pass<T, WGI_RULE_SGD_MOMENTUM>(l, s); break;
    default: run_pass<T, WGI_RULE_LION>(l, s); break;
    }
}

} // namespace

extern "C" void wgi_launch_update_counts(const wgi_update_table *t, void *stream)
{
    counts<<<1, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(*t);
}

extern "C" void wgi_launch_update(const wgi_update_table *t, void *stream)
{
    if (t->f64)
        dispatch<double>(t, static_cast<cudaStream_t>(stream));
    else
        dispatch<float>(t, static_cast<cudaStream_t>(stream));
}

extern "C" void wgi_launch_update_pass(const wgi_update_pass *p, void *stream)
{
    if (p->f64)
        dispatch_pass<double>(p, static_cast<cudaStream_t>(stream));
    else
        dispatch_pass<float>(p, static_cast<cudaStream_t>(stream));
}
