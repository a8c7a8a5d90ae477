/* Damaged files: random bytes, spans doubled and cut out. For tests of formats. */
#ifndef WENGERT_TESTS_DAMAGE_H
#define WENGERT_TESTS_DAMAGE_H
#include <stdint.h>
#include <string.h>

static uint64_t random_state = 88172645463325252u;
static inline uint64_t random_next(void) /* xorshift64: Marsaglia 2003 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* One to four changes among the first `reach` bytes of the n at data, which has room for 2 n.
 * Returns how many bytes there are then. */
static inline size_t damage(char *data, size_t n, size_t reach)
{
    const size_t room = 2 * n;
    for (uint64_t k = random_next() % 4 + 1; k > 0; k--) {
        const size_t at = random_next() % (n < reach ? n : reach), span = random_next() % 12;
        switch (random_next() % 5) {
        case 0: data[at] = (char)random_next(); break;
        case 1: data[at] = (char)(data[at] + (random_next() % 2 ? 1 : -1)); break;
        case 2: data[at] = (char)(data[at] ^ 1 << random_next() % 8); break;
        case 3: /* a span twice */
            if (at + span > n || n + span > room) break;
            memmove(data + at + span, data + at, n - at);
            n += span;
            break;
        default: /* a span cut out */
            if (at + span >= n) break;
            memmove(data + at, data + at + span, n - at - span);
            n -= span;
        }
    }
    return n;
}
#endif
