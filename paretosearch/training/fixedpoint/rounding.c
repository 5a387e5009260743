/* Rounds tensors to numbers of few bits that share a power of two, forward and back, in two passes over memory.
 *
 * A tensor is here `blocks` runs of `size` numbers, and every run has an exponent of its own. The exponent follows from
 * the largest magnitude; bits of a float are compared as integers, since that puts infinities and NaNs on top: such a
 * block becomes NaN as a whole, and a training that diverges is noticed.
 *
 * What counts as zero must not depend on the thread that a number is given to, which threads.h sees to. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "threads.h"

#define RESTRICT __restrict__

/* Exponent of the smallest float that is no denormal: below it a scale would count as zero. */
#define LEAST (-126)

static float float_of(uint32_t bits) {
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

static uint32_t largest(const float *RESTRICT x, size_t begin, size_t end) {
    uint32_t most = 0;
    for (size_t i = begin; i < end; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return most;
}

/* The value of a mantissa's last bit, for a largest magnitude of m * 2^e with m in [0.5, 1): 2^(e - bits), where `bits`
 * are those of the mantissa without sign and headroom. */
static float scale_of(uint32_t most, int bits) {
    if (most >= 0x7f800000u) return NAN;
    if (most < 0x00800000u) return 1; /* zero, or a denormal */
    int exponent = (int)(most >> 23) - 126 - bits;
    return float_of((uint32_t)((exponent < LEAST ? LEAST : exponent) + 127) << 23);
}

static float scale_of_all(const float *x, size_t size, size_t parts, int bits) {
    uint32_t most = 0;
    _Pragma("omp parallel for num_threads(parts) schedule(static, 1) reduction(max : most) if (parts > 1)")
    for (size_t part = 0; part < parts; part++) {
        uint32_t mine = largest(x, size * part / parts, size * (part + 1) / parts);
        most = mine > most ? mine : most;
    }
    return scale_of(most, bits);
}

static float clamped(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

/* To the nearest, ties to even. Either of `values` and `mantissas` may be NULL. */
void nearest(const float *x, size_t size, size_t parts, int word_length, int headroom, float *values,
             int16_t *mantissas, float *scale) {
    float s = *scale = scale_of_all(x, size, parts, word_length - 1 - headroom);
    float low = -ldexpf(1, word_length - 1), high = ldexpf(1, word_length - 1) - 1, inverse = 1 / s;
    SHARED(size, {
        if (values && mantissas)
            for (size_t i = begin; i < end; i++) {
                float q = clamped(rintf(x[i] * inverse), low, high);
                values[i] = q * s;
                mantissas[i] = (int16_t)(int32_t)q;
            }
        else if (values)
            for (size_t i = begin; i < end; i++) values[i] = clamped(rintf(x[i] * inverse), low, high) * s;
        else
            for (size_t i = begin; i < end; i++)
                mantissas[i] = (int16_t)(int32_t)clamped(rintf(x[i] * inverse), low, high);
    })
}

void values_of(const int16_t *mantissas, size_t size, size_t parts, const float *scale, float *values) {
    float s = *scale;
    SHARED(size, for (size_t i = begin; i < end; i++) values[i] = (float)mantissas[i] * s;)
}

/* A number in [0, 1) for every place, from 24 bits of a hash (the mixing of MurmurHash3 by A. Appleby, public domain). */
static inline float uniform(uint32_t place, uint32_t seed) {
    uint32_t h = place * 0x9e3779b1u ^ seed;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    h ^= h >> 16;
    return (float)(int32_t)(h >> 8) * 0x1p-24f;
}

/* Up or down at random, so that the mean is the number itself: up as often as its fraction says, since to add a random
 * number first would round the sum. */
static inline float at_random(float t, float u) {
    float down = floorf(t);
    return down + (u < t - down ? 1.0f : 0.0f);
}

/* `values` may be `x`. */
void stochastic(const float *x, size_t blocks, size_t size, size_t parts, int word_length, uint32_t seed,
                float *values) {
    float low = -ldexpf(1, word_length - 1), high = ldexpf(1, word_length - 1) - 1;
    for (size_t block = 0; block < blocks; block++) {
        const float *from = x + block * size;
        float *to = values + block * size;
        uint32_t first = (uint32_t)(block * size);
        float s = scale_of_all(from, size, parts, word_length - 1), inverse = 1 / s;
        SHARED(size, for (size_t i = begin; i < end; i++) to[i] =
                   clamped(at_random(from[i] * inverse, uniform(first + (uint32_t)i, seed)), low, high) * s;)
    }
}
