/* Products of fragments: ldmatrix, mma.sync, and wgmma, which goes on by itself. Each sum is exact but for its one rounding. */
#include "lanes.h"
#include "profile.h"

namespace ptx
{

namespace
{

enum { F16, BF16 };
enum { A_IN_REGISTERS = 1, OF_BF16 = 2 }; /* of an instruction's option */

template <int TYPE> double number(uint16_t bits)
{
    if (TYPE == BF16) return double(as<float>(uint64_t(bits) << 16));
    _Float16 h;
    std::memcpy(&h, &bits, sizeof h);
    return double(float(h)); /* one instruction, where double(h) is a call */
}

template <int TYPE> double half_of(uint64_t pair, unsigned which)
{
    return number<TYPE>(uint16_t(pair >> (16 * which)));
}

void whole_warp(const warp &w, const instruction &i, uint32_t lanes)
{
    if (lanes != ALL) found(w, i, 0, "not the whole warp takes part");
}

/* Lanes 8n to 8n + 7 tell the rows of matrix n; lane l gets two elements of row l / 4, or of column l / 4. */
template <bool TURNED> void load_matrices(warp &w, const instruction &i, uint32_t lanes)
{
    whole_warp(w, i, lanes);
    uint64_t row[LANES];
    std::memcpy(row, w.get(i.from[0]), sizeof row);
    if (w.b->counts) {
        uint64_t address[LANES];
        for (unsigned l = 0; l < LANES; l++) address[l] = row[l] + uint64_t(i.offset);
        count_shared(*w.b->counts, address, lanes, 16);
    }
    for (unsigned n = 0; n < i.to.size(); n++) {
        uint16_t m[8][8];
        for (unsigned r = 0; r < 8; r++)
            std::memcpy(m[r],
                        shared_at(w, i, 8 * n + r, row[8 * n + r] + uint64_t(i.offset), 16, false),
                        16);
        uint64_t *d = w.at(i.to[n]);
        for (unsigned l = 0; l < LANES; l++) {
            const unsigned g = l / 4, t = 2 * (l % 4);
            const uint32_t low = TURNED ? m[t][g] : m[g][t],
                           high = TURNED ? m[t + 1][g] : m[g][t + 1];
            d[l] = low | high << 16;
        }
    }
}

/* A of 16 x 16 in four registers a lane: rows l / 4 and 8 more, columns 2 (l % 4), one more, and 8 more. */
template <int TYPE> void fragment(warp &w, const value *from, double (*a)[16])
{
    for (unsigned n = 0; n < 4; n++) {
        const uint64_t *v = w.get(from[n]);
        for (unsigned l = 0; l < LANES; l++)
            for (unsigned e = 0; e < 2; e++)
                a[l / 4 + 8 * (n % 2)][2 * (l % 4) + 8 * (n / 2) + e] = half_of<TYPE>(v[l], e);
    }
}

template <int TYPE> void multiply(warp &w, const instruction &i, uint32_t lanes)
{
    whole_warp(w, i, lanes);
    double a[16][16], b[16][8];
    fragment<TYPE>(w, &i.from[0], a);
    for (unsigned n = 0; n < 2; n++) {
        const uint64_t *v = w.get(i.from[4 + n]);
        for (unsigned l = 0; l < LANES; l++)
            for (unsigned e = 0; e < 2; e++)
                b[2 * (l % 4) + 8 * n + e][l / 4] = half_of<TYPE>(v[l], e);
    }
    float d[4][LANES];
    for (unsigned e = 0; e < 4; e++) {
        const uint64_t *c = w.get(i.from[6 + e]);
        for (unsigned l = 0; l < LANES; l++) {
            double sum = as<float>(c[l]);
            for (unsigned k = 0; k < 16; k++)
                sum += a[l / 4 + 8 * (e / 2)][k] * b[k][2 * (l % 4) + e % 2];
            d[e][l] = float(sum);
        }
    }
    for (unsigned e = 0; e < 4; e++) {
        uint64_t *to = w.at(i.to[e]);
        for (unsigned l = 0; l < LANES; l++) to[l] = bits_of(d[e][l]);
    }
}

/* ---- wgmma -------------------------------------------------------------------------------------------------------- */

/* A matrix in shared memory as a descriptor tells it, in units of 16 bytes: PTX ISA, "Matrix Descriptor Format" and
 * "Canonical Layouts"; CUTLASS, cute/arch/mma_sm90_desc.hpp. Only the swizzle of 128 bytes. */
struct described {
    uint32_t start, leading, stride;
    bool turned; /* the index that is not summed over lies side by side */
    described(warp &w, const instruction &i, uint64_t d, bool is_turned) : turned(is_turned)
    {
        start = uint32_t(d & 0x3fff) << 4;
        leading = uint32_t(d >> 16 & 0x3fff) << 4;
        stride = uint32_t(d >> 32 & 0x3fff) << 4;
        if (d >> 62 != 1) found(w, i, 0, "a descriptor without the swizzle of 128 bytes");
        if (d >> 49 & 7) found(w, i, 0, "a descriptor with a base offset");
    }
    /* Of element (m, k): m of the rows or columns, k of those summed over. */
    uint32_t at(uint32_t m, uint32_t k) const
    {
        const uint32_t plain =
            turned ? start + m / 64 * leading + m % 64 * 2 + k % 8 * 128 + k / 8 * stride
                   : start + m % 8 * 128 + m / 8 * stride + k * 2;
        return plain ^ (plain >> 7 & 7) << 4;
    }
};

/* a[m][k] of `count` rows from `first` on, 16 columns each: by chunks of 16 bytes, which no swizzle takes apart. */
template <int TYPE>
void fetch(warp &w, const instruction &i, const described &d, uint32_t first, uint32_t count,
           double (*a)[16])
{
    const uint32_t ms = d.turned ? 8 : 1, ks = d.turned ? 1 : 8;
    for (uint32_t m = 0; m < count; m += ms)
        for (uint32_t k = 0; k < 16; k += ks) {
            uint16_t chunk[8];
            std::memcpy(chunk, sent_at(w, i, d.at(first + m, k), 16), 16);
            for (uint32_t n = 0; n < 8; n++)
                (d.turned ? a[m + n][k] : a[m][k + n]) = number<TYPE>(chunk[n]);
        }
}

/* The 16 rows that are this warp's. */
template <int TYPE> void run_product(warp &w, const product &p)
{
    const instruction &i = *p.what;
    const unsigned columns = unsigned(i.to.size()) * 2;
    double a[16][16];
    const bool registers = i.option & A_IN_REGISTERS;
    const size_t flags =
        (registers ? 4u : 1u) + 2; /* behind A, B and the predicate: signs, then what is turned */
    const auto is = [&](size_t n) { return w.get(i.from[n])[0] != 0; };
    if (!is(flags) || !is(flags + 1)) found(w, i, 0, "a product with a sign");
    if (registers) {
        fragment<TYPE>(w, &i.from[0], a);
    } else {
        const described d(w, i, p.a, is(flags + 2));
        fetch<TYPE>(w, i, d, w.index % 4 * 16, 16, a);
    }
    const described d(w, i, p.b, is(flags + (registers ? 2 : 3)));
    double b[256][16];
    fetch<TYPE>(w, i, d, 0, columns, b);
    for (unsigned e = 0; e < i.to.size(); e++) {
        uint64_t *c = w.at(i.to[e]);
        for (unsigned l = 0; l < LANES; l++) {
            const unsigned m = l / 4 + 8 * (e / 2 % 2), n = e / 4 * 8 + 2 * (l % 4) + e % 2;
            double sum = p.add ? as<float>(c[l]) : 0;
            for (unsigned k = 0; k < 16; k++) sum += a[m][k] * b[n][k];
            c[l] = bits_of(float(sum));
        }
    }
}

/* Its sums hold NaN where they are not added to, until the product is waited for. */
void multiply_later(warp &w, const instruction &i, uint32_t lanes)
{
    whole_warp(w, i, lanes);
    const bool registers = i.option & A_IN_REGISTERS;
    const size_t b = registers ? 4 : 1;
    const bool add = w.get(i.from[b + 1])[0];
    w.products.open.push_back({ &i, w.get(i.from[0])[0], w.get(i.from[b])[0], add });
    if (add) return;
    for (value v : i.to)
        for (unsigned l = 0; l < LANES; l++) w.at(v)[l] = 0x7fc00000;
}

void finish_products(warp &w, const instruction &i, uint32_t lanes)
{
    whole_warp(w, i, lanes);
    auto &closed = w.products.closed;
    while (closed.size() > size_t(w.get(i.from[0])[0])) {
        for (const product &p : closed.front())
            p.what->option &OF_BF16 ? run_product<BF16>(w, p) : run_product<F16>(w, p);
        closed.erase(closed.begin());
    }
}

} // namespace

handler find_matrix(const words &o, instruction &i)
{
    const std::string_view b = o[0];
    if (b == "ldmatrix" && o.size() >= 6 && o[4] == "x4")
        return o[5] == "trans" ? load_matrices<true> : load_matrices<false>;
    if (b == "mma" && o.size() == 10 && o[3] == "m16n8k16" && o[4] == "row" && o[5] == "col" &&
        o[6] == "f32" && o[7] == o[8])
        return o[7] == "bf16" ? multiply<BF16> : o[7] == "f16" ? multiply<F16> : nullptr;
    if (b != "wgmma") return nullptr;
    if (o[1] == "mma_async") {
        i.option = o.back() == "bf16" ? OF_BF16 : 0;
        return multiply_later;
    }
    if (o[1] == "fence") return +[](warp &, const instruction &, uint32_t) {};
    if (o[1] == "commit_group")
        return +[](warp &w, const instruction &, uint32_t) {
            w.products.closed.push_back(std::move(w.products.open));
            w.products.open.clear();
        };
    return o[1] == "wait_group" ? finish_products : nullptr;
}

} // namespace ptx
