/* Batch norm with ReLU, and with the addition of a shortcut before it, forward and backward, on images whose channels
 * stand together in memory.
 *
 * A tensor (N, C, H, W) in channels-last format is here a table of rows of C numbers. Every function divides the rows
 * among `parts` threads of OpenMP, which are PyTorch's own: this file is linked with no OpenMP library, and takes the one
 * that is there. Numbers are fp32, or bf16, which is the upper half of an fp32. All arithmetic is in fp32; sums over many
 * rows are in double.
 *
 * The mask of the backward asks `!(y <= 0)` and the ReLU of the forward `v < 0 ? 0 : v`, as PyTorch's do, so that a NaN
 * goes through both and a training that diverges is noticed. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "threads.h"

#define RESTRICT __restrict__
#define INLINE static inline __attribute__((always_inline))

/* Sums are in fp32 over so many rows, then go into doubles. */
#define CHUNK 64

/* Channels that are summed at once, since their sums are on the stack. */
#define MOST 1024

/* Numbers in a vector register; a loop over as many becomes one operation. */
#define W 16

typedef uint16_t bf16;

INLINE float get_float(const float *p) { return *p; }
INLINE void put_float(float *p, float v) { *p = v; }

INLINE float get_bf16(const bf16 *p) {
    uint32_t bits = (uint32_t)*p << 16;
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

/* Rounds to the nearest, ties to even; the payload of a NaN is not carried over into the exponent. */
INLINE void put_bf16(bf16 *p, float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    *p = (bf16)(v != v ? 0x7fc0u : rounded);
}

/* Runs BODY for every number of the rows from `begin` to `end`, which lies at `i` and is of channel `c`: row by row, as
 * memory likes it. */
#define EACH(BODY)                                                                                                     \
    for (size_t r = begin; r < end; r++) {                                                                             \
        size_t row = r * C, vectors = C - C % W;                                                                       \
        for (size_t v = 0; v < vectors; v += W)                                                                        \
            for (size_t j = 0; j < W; j++) {                                                                           \
                size_t c = v + j, i = row + c;                                                                         \
                BODY                                                                                                   \
            }                                                                                                          \
        for (size_t c = vectors; c < C; c++) {                                                                         \
            size_t i = row + c;                                                                                        \
            BODY                                                                                                       \
        }                                                                                                              \
    }

/* Adds up two figures P and Q of every number, by channel, into `one` and `two`. */
#define SUM(P, Q)                                                                                                      \
    float p[MOST], q[MOST];                                                                                            \
    size_t last = end;                                                                                                 \
    for (; begin < last; begin += CHUNK) {                                                                             \
        end = last - begin < CHUNK ? last : begin + CHUNK;                                                             \
        memset(p, 0, C * sizeof(float));                                                                               \
        memset(q, 0, C * sizeof(float));                                                                               \
        EACH({                                                                                                         \
            p[c] += P;                                                                                                 \
            q[c] += Q;                                                                                                 \
        })                                                                                                             \
        for (size_t c = 0; c < C; c++) {                                                                               \
            one[c] += p[c];                                                                                            \
            two[c] += q[c];                                                                                            \
        }                                                                                                              \
    }

#define FUNCTIONS(T)                                                                                                   \
    INLINE float relu_grad_##T(const T *dy, const T *y) { return get_##T(y) <= 0 ? 0 : get_##T(dy); }                  \
    INLINE void put_relu_##T(T *y, float v) { put_##T(y, v < 0 ? 0 : v); }                                             \
    /* Sums, for every of at most MOST channels, all numbers and their squares, both less `shift`. */                  \
    static void sums_of_##T(const T *RESTRICT x, size_t begin, size_t end, size_t C, const float *RESTRICT shift,      \
                            double *RESTRICT one, double *RESTRICT two) {                                              \
        SUM(get_##T(x + i) - shift[c], (get_##T(x + i) - shift[c]) * (get_##T(x + i) - shift[c]))                      \
    }                                                                                                                  \
    void sums_##T(const T *x, size_t rows, size_t C, size_t parts, const float *shift, double *sums) {                 \
        SHARED(rows, sums_of_##T(x, begin, end, C, shift, sums + 2 * part * C, sums + (2 * part + 1) * C);)            \
    }                                                                                                                  \
    /* y = max(0, x * scale + offset + shortcut); without a shortcut where that is NULL. */                            \
    static void apply_to_##T(const T *RESTRICT x, const T *RESTRICT shortcut, T *RESTRICT y, size_t begin, size_t end, \
                             size_t C, const float *RESTRICT scale, const float *RESTRICT offset) {                    \
        if (shortcut)                                                                                                  \
            EACH(put_relu_##T(y + i, get_##T(x + i) * scale[c] + offset[c] + get_##T(shortcut + i));)                  \
        else                                                                                                           \
            EACH(put_relu_##T(y + i, get_##T(x + i) * scale[c] + offset[c]);)                                          \
    }                                                                                                                  \
    void apply_##T(const T *x, const T *shortcut, T *y, size_t rows, size_t C, size_t parts, const float *scale,       \
                   const float *offset) {                                                                              \
        SHARED(rows, apply_to_##T(x, shortcut, y, begin, end, C, scale, offset);)                                      \
    }                                                                                                                  \
    /* With g the gradient dy where y is above 0: sums, for every of at most MOST channels, g and g * (x - mean). */   \
    static void grad_sums_of_##T(const T *RESTRICT dy, const T *RESTRICT y, const T *RESTRICT x, size_t begin,         \
                                 size_t end, size_t C, const float *RESTRICT mean, double *RESTRICT one,               \
                                 double *RESTRICT two) {                                                               \
        SUM(relu_grad_##T(dy + i, y + i), relu_grad_##T(dy + i, y + i) * (get_##T(x + i) - mean[c]))                   \
    }                                                                                                                  \
    void grad_sums_##T(const T *dy, const T *y, const T *x, size_t rows, size_t C, size_t parts, const float *mean,    \
                       double *sums) {                                                                                 \
        SHARED(rows, grad_sums_of_##T(dy, y, x, begin, end, C, mean, sums + 2 * part * C, sums + (2 * part + 1) * C);) \
    }                                                                                                                  \
    /* dx = scale * g - a - b * (x - mean), and dshortcut = g unless that is NULL. */                                  \
    static void grad_apply_to_##T(const T *RESTRICT dy, const T *RESTRICT y, const T *RESTRICT x, T *RESTRICT dx,      \
                                  T *RESTRICT dshortcut, size_t begin, size_t end, size_t C,                           \
                                  const float *RESTRICT mean, const float *RESTRICT scale, const float *RESTRICT a,    \
                                  const float *RESTRICT b) {                                                           \
        if (dshortcut)                                                                                                 \
            EACH({                                                                                                     \
                float g = relu_grad_##T(dy + i, y + i);                                                                \
                put_##T(dx + i, scale[c] * g - a[c] - b[c] * (get_##T(x + i) - mean[c]));                              \
                put_##T(dshortcut + i, g);                                                                             \
            })                                                                                                         \
        else                                                                                                           \
            EACH(put_##T(dx + i, scale[c] * relu_grad_##T(dy + i, y + i) - a[c] - b[c] * (get_##T(x + i) - mean[c]));) \
    }                                                                                                                  \
    void grad_apply_##T(const T *dy, const T *y, const T *x, T *dx, T *dshortcut, size_t rows, size_t C, size_t parts, \
                        const float *mean, const float *scale, const float *a, const float *b) {                       \
        SHARED(rows, grad_apply_to_##T(dy, y, x, dx, dshortcut, begin, end, C, mean, scale, a, b);)                    \
    }

FUNCTIONS(float)
FUNCTIONS(bf16)

/* What follows is for tables in which a row stands for `folds` rows of an image's C channels, so that few channels fill
 * a vector too: `one` and `two` are from `parts` threads, each with folds * C sums of both kinds. */

static double total(const double *sums, size_t parts, size_t folds, size_t C, size_t c) {
    double sum = 0;
    for (size_t part = 0; part < parts; part++)
        for (size_t fold = 0; fold < folds; fold++) sum += sums[part * 2 * folds * C + fold * C + c];
    return sum;
}

/* From the sums of x - running_mean: mean, scale and offset of batch norm, for each of the folds; the running statistics
 * follow. `rows` are those of the image. */
void statistics(const double *sums, size_t parts, size_t folds, size_t C, size_t rows, const float *weight,
                const float *bias, float eps, float momentum, float *running_mean, float *running_var, float *mean,
                float *scale, float *offset, float *deviation) {
    for (size_t c = 0; c < C; c++) {
        double moved = total(sums, parts, folds, C, c) / rows;
        double variance = total(sums + folds * C, parts, folds, C, c) / rows - moved * moved;
        if (variance < 0) variance = 0;
        double middle = running_mean[c] + moved;
        deviation[c] = (float)(1 / sqrt(variance + eps));
        for (size_t fold = 0; fold < folds; fold++) {
            mean[fold * C + c] = (float)middle;
            scale[fold * C + c] = weight[c] * deviation[c];
            offset[fold * C + c] = (float)(bias[c] - middle * weight[c] * deviation[c]);
        }
        running_mean[c] += momentum * (float)moved;
        running_var[c] += momentum * ((float)(variance * rows / (rows - 1)) - running_var[c]);
    }
}

/* From the sums of g and g * (x - mean): the gradients of weight and bias, and `a` and `b` of grad_apply. */
void grad_statistics(const double *sums, size_t parts, size_t folds, size_t C, size_t rows, const float *weight,
                     const float *deviation, float *grad_weight, float *grad_bias, float *a, float *b) {
    for (size_t c = 0; c < C; c++) {
        double g = total(sums, parts, folds, C, c), dot = total(sums + folds * C, parts, folds, C, c);
        double scale = (double)weight[c] * deviation[c];
        grad_bias[c] = (float)g;
        grad_weight[c] = (float)(dot * deviation[c]);
        for (size_t fold = 0; fold < folds; fold++) {
            a[fold * C + c] = (float)(scale * g / rows);
            b[fold * C + c] = (float)(scale * deviation[c] * deviation[c] * dot / rows);
        }
    }
}
