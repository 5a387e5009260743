/* Divides work among threads that take denormals for zero; every library of C here may include this.
 *
 * The threads are those of OpenMP that PyTorch has, see native.py. Denormals are slow, and whether they count as zero is a
 * setting of each thread, in bits 15 and 6; a thread gets its own setting back. */

#include <stddef.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

static inline unsigned flush_denormals(void) {
#if defined(__SSE__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}

static inline void restore(unsigned setting) {
#if defined(__SSE__)
    _mm_setcsr(setting);
#else
    (void)setting;
#endif
}

/* Runs BODY on each of `parts` threads with its share of COUNT things, from `begin` to `end`. */
#define SHARED(COUNT, BODY)                                                                                            \
    _Pragma("omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)")                                  \
    for (size_t part = 0; part < parts; part++) {                                                                      \
        size_t begin = (COUNT) * part / parts, end = (COUNT) * (part + 1) / parts;                                     \
        unsigned setting = flush_denormals();                                                                          \
        BODY                                                                                                           \
        restore(setting);                                                                                              \
    }
