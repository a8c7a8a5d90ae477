/* Between the lanes of a warp. */
#include "lanes.h"

namespace ptx
{

namespace
{

/* All lanes that a lane names take part, together, and name the same: a warp's parts may each do so at once. */
void together(warp &w, const instruction &i, uint32_t lanes, value mask)
{
    const uint64_t *named = w.get(mask);
    each(lanes, [&](unsigned l) {
        const uint32_t mine = uint32_t(named[l]) & w.live;
        bool right = !(mine & ~lanes) && (mine >> l & 1);
        for (uint32_t m = right ? mine : 0; m; m &= m - 1)
            right = right && named[__builtin_ctz(m)] == named[l];
        if (!right) found(w, i, l, "not all lanes that are named take part");
    });
}

enum mode { UP, DOWN_, ACROSS, INDEX };

template <mode M> void shuffle(warp &w, const instruction &i, uint32_t lanes)
{
    together(w, i, lanes, i.from[3]);
    uint64_t a[LANES], taken[LANES];
    bool inside[LANES];
    std::memcpy(a, w.get(i.from[0]), sizeof a);
    const uint64_t *b = w.get(i.from[1]), *c = w.get(i.from[2]), *named = w.get(i.from[3]);
    each(lanes, [&](unsigned l) {
        const int by = b[l] & 31, clamp = c[l] & 31, segment = c[l] >> 8 & 31, lane = int(l);
        const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
        int from = M == UP       ? lane - by
                   : M == DOWN_  ? lane + by
                   : M == ACROSS ? lane ^ by
                                 : first | (by & ~segment);
        inside[l] = M == UP ? from >= last : from <= last;
        if (!inside[l]) from = lane;
        if (!((lanes & named[l]) >> from & 1)) found(w, i, l, "a value of a lane that has ended");
        taken[l] = uint32_t(a[from]);
    });
    uint64_t *d = w.at(i.to[0]);
    each(lanes, [&](unsigned l) { d[l] = taken[l]; });
    if (i.to.size() < 2) return;
    uint64_t *p = w.at(i.to[1]);
    each(lanes, [&](unsigned l) { p[l] = inside[l]; });
}

template <bool ANY> void vote_of(warp &w, const instruction &i, uint32_t lanes)
{
    together(w, i, lanes, i.from[1]);
    const uint64_t *p = w.get(i.from[0]);
    uint32_t yes = 0;
    each(lanes, [&](unsigned l) { yes |= uint32_t((p[l] & 1) != uint64_t(i.option)) << l; });
    uint64_t *d = w.at(i.to[0]);
    uint32_t mine[LANES]; /* before d is written: it may be the mask's register */
    each(lanes, [&](unsigned l) { mine[l] = yes & uint32_t(w.get(i.from[1])[l]); });
    each(lanes, [&](unsigned l) { d[l] = ANY ? mine[l] != 0 : mine[l]; });
}

} // namespace

handler find_exchange(const words &o)
{
    if (o[0] == "shfl" && o.size() == 4 && o[1] == "sync") {
        if (o[2] == "up") return shuffle<UP>;
        if (o[2] == "down") return shuffle<DOWN_>;
        if (o[2] == "bfly") return shuffle<ACROSS>;
        if (o[2] == "idx") return shuffle<INDEX>;
    }
    const bool vote = o[0] == "vote" && o.size() == 4 && (o[1] == "sync" || o[2] == "sync");
    const std::string_view how = vote ? o[o[1] == "sync" ? 2 : 1] : std::string_view();
    if (how == "ballot") return vote_of<false>;
    if (how == "any") return vote_of<true>;
    if (o[0] == "bar" && o[1] == "warp")
        return +[](warp &w, const instruction &i, uint32_t lanes) {
            together(w, i, lanes, i.from[0]);
            w.epoch++;
        };
    return nullptr;
}

} // namespace ptx
