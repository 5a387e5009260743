/* Convolution of 16-bit integers, forward and backward, with sums in 32-bit integers as long as they fit.
 *
 * Products of two int16 are added in pairs into int32 lanes, `chain` pairs long, so that nothing can overflow. Then the
 * lanes go into fp32 sums: round(lane) + sum, in an order that depends on the shapes alone, neither on the number of
 * threads nor on the width of the machine's vectors. Tests compute the same numbers in float64, chain by chain.
 *
 * Images are tables (N, H, W, C), channels together. A block is BLOCK columns of the result (channels of the output) by
 * P rows; its lanes stay in registers while a chain runs. Work is divided among `parts` threads of OpenMP, which are
 * PyTorch's own, see native.py. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Columns of a block, on every machine. */
#define BLOCK 16

/* Keeps what is computed row by row in that order; the compiler would load all rows first, and run out of registers. */
#define IN_REGISTER(v) __asm__ volatile("" : "+v"(v))

#if defined(__AVX512VNNI__) && !defined(NARROW)
#define ISA 3
#define P 14
typedef __m512i ints;
typedef __m512 floats;
#define VECTORS 1
#define LANES 16
INLINE ints zeros(void) { return _mm512_setzero_si512(); }
INLINE ints load(const int16_t *p) { return _mm512_loadu_si512(p); }
INLINE ints both(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
}
INLINE ints dot(ints sum, ints a, ints b) { return _mm512_dpwssd_epi32(sum, a, b); }
INLINE void add(float *p, ints v) { _mm512_storeu_ps(p, _mm512_add_ps(_mm512_loadu_ps(p), _mm512_cvtepi32_ps(v))); }
#elif defined(__AVX2__)
#define P 6
typedef __m256i ints;
#define VECTORS 2
#define LANES 8
INLINE ints zeros(void) { return _mm256_setzero_si256(); }
INLINE ints load(const int16_t *p) { return _mm256_loadu_si256((const ints *)p); }
INLINE ints both(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, 4);
    return _mm256_set1_epi32(pair);
}
#if defined(__AVXVNNI__)
#define ISA 2
INLINE ints dot(ints sum, ints a, ints b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }
#else
#define ISA 1
INLINE ints dot(ints sum, ints a, ints b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
#endif
INLINE void add(float *p, ints v) { _mm256_storeu_ps(p, _mm256_add_ps(_mm256_loadu_ps(p), _mm256_cvtepi32_ps(v))); }
#else
#define ISA 0
#endif

void isa(int *found) { *found = ISA; }

#if ISA

#define EACH_PART _Pragma("omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)")

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* sums[P][BLOCK] += one chain: for every step, the pair at rows[p] + at[step] of each row, times BLOCK pairs of a table. */
INLINE void run(const int16_t *const *rows, const int32_t *at, const int16_t *table, size_t steps, float *sums) {
    ints lanes[P][VECTORS];
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < VECTORS; v++) lanes[p][v] = zeros();
    for (size_t step = 0; step < steps; step++, table += 2 * BLOCK) {
        ints columns[VECTORS];
        UNROLL for (int v = 0; v < VECTORS; v++) columns[v] = load(table + 2 * LANES * v);
        UNROLL for (int p = 0; p < P; p++) {
            ints row = both(rows[p] + at[step]);
            UNROLL for (int v = 0; v < VECTORS; v++) {
                lanes[p][v] = dot(lanes[p][v], row, columns[v]);
                IN_REGISTER(lanes[p][v]);
            }
        }
    }
    UNROLL for (int p = 0; p < P; p++) UNROLL for (int v = 0; v < VECTORS; v++)
        add(sums + p * BLOCK + v * LANES, lanes[p][v]);
}

INLINE void run_all(const int16_t *const *rows, const int32_t *at, const int16_t *table, size_t steps, size_t chain,
                    float *sums) {
    for (size_t first = 0; first < steps; first += chain)
        run(rows, at + first, table + 2 * BLOCK * first, least(chain, steps - first), sums);
}

/* Sizes of a convolution; `in` is padded. */
typedef struct {
    size_t images, height, width, channels; /* of x */
    size_t outputs, rows, columns;          /* of y */
    size_t kernel_height, kernel_width, stride, pad_height, pad_width;
    size_t chain, parts;
} sizes;

/* Copies images between zeros; `pairs` channels of two. */
static void pad(const int16_t *x, const sizes *s, size_t pairs, int16_t *padded) {
    size_t C = s->channels, wide = s->width + 2 * s->pad_width, high = s->height + 2 * s->pad_height;
    memset(padded, 0, high * wide * 2 * pairs * sizeof *padded);
    for (size_t h = 0; h < s->height; h++) {
        int16_t *to = padded + ((h + s->pad_height) * wide + s->pad_width) * 2 * pairs;
        const int16_t *from = x + h * s->width * C;
        if (C == 2 * pairs)
            memcpy(to, from, s->width * C * sizeof *to);
        else
            for (size_t w = 0; w < s->width; w++) memcpy(to + w * 2 * pairs, from + w * C, C * sizeof *to);
    }
}

/* y (images, rows, columns, outputs) from x and a table of weights (blocks, steps, BLOCK, 2), where a step is a pair of
 * channels under one place of the kernel. */
void forward(const int16_t *x, const int16_t *table, const sizes *s, const float *scale, float *y) {
    size_t pairs = (s->channels + 1) / 2, steps = s->kernel_height * s->kernel_width * pairs;
    size_t wide = s->width + 2 * s->pad_width, high = s->height + 2 * s->pad_height;
    size_t image = high * wide * 2 * pairs, places = s->rows * s->columns, parts = s->parts;
    size_t blocks = (s->outputs + BLOCK - 1) / BLOCK;
    size_t together = (40 * P + places - 1) / places; /* images, so that few blocks have fewer than P rows */
    size_t groups = (s->images + together - 1) / together;
    int32_t *at = malloc(steps * sizeof *at);
    size_t step = 0;
    for (size_t i = 0; i < s->kernel_height; i++)
        for (size_t j = 0; j < s->kernel_width; j++)
            for (size_t c = 0; c < pairs; c++) at[step++] = (int32_t)((i * wide + j) * 2 * pairs + 2 * c);
    EACH_PART for (size_t part = 0; part < parts; part++) {
        int16_t *padded = malloc(together * image * sizeof *padded);
        for (size_t group = groups * part / parts; group < groups * (part + 1) / parts; group++) {
            size_t first = group * together, count = least(together, s->images - first), all = count * places;
            for (size_t n = 0; n < count; n++)
                pad(x + (first + n) * s->height * s->width * s->channels, s, pairs, padded + n * image);
            float *out = y + first * places * s->outputs;
            for (size_t place = 0; place < all; place += P) {
                const int16_t *rows[P];
                for (size_t p = 0; p < P; p++) {
                    size_t here = least(place + p, all - 1), n = here / places, inside = here % places;
                    size_t h = inside / s->columns * s->stride, w = inside % s->columns * s->stride;
                    rows[p] = padded + n * image + (h * wide + w) * 2 * pairs;
                }
                for (size_t block = 0; block < blocks; block++) {
                    float sums[P * BLOCK] = {0};
                    run_all(rows, at, table + block * steps * 2 * BLOCK, steps, s->chain, sums);
                    size_t columns = least(BLOCK, s->outputs - block * BLOCK);
                    for (size_t p = 0; p < least(P, all - place); p++) {
                        float *row = out + (place + p) * s->outputs + block * BLOCK;
                        for (size_t c = 0; c < columns; c++) row[c] = sums[p * BLOCK + c] * *scale;
                    }
                }
            }
        }
        free(padded);
    }
    free(at);
}

/* Tells of two images, the second of which may be missing, each number beside its neighbour: (..., C) to (..., C, 2). */
static void interleave(const int16_t *one, const int16_t *two, size_t count, int16_t *to) {
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = one[i];
        to[2 * i + 1] = two ? two[i] : 0;
    }
}

static void pad_two(const int16_t *one, const int16_t *two, const sizes *s, int16_t *padded) {
    size_t C = s->channels, wide = s->width + 2 * s->pad_width, line = s->width * C;
    for (size_t h = 0; h < s->height; h++)
        interleave(one + h * line, two ? two + h * line : NULL, line,
                   padded + ((h + s->pad_height) * wide + s->pad_width) * 2 * C);
}

/* Of two images' gradient, the table of block after block: (blocks, places, BLOCK, 2). */
static void blocks_of_two(const int16_t *one, const int16_t *two, size_t places, size_t outputs, int16_t *table) {
    size_t blocks = (outputs + BLOCK - 1) / BLOCK;
    for (size_t block = 0; block < blocks; block++) {
        size_t columns = least(BLOCK, outputs - block * BLOCK);
        for (size_t place = 0; place < places; place++, table += 2 * BLOCK) {
            size_t from = place * outputs + block * BLOCK;
            interleave(one + from, two ? two + from : NULL, columns, table);
            memset(table + 2 * columns, 0, 2 * (BLOCK - columns) * sizeof *table);
        }
    }
}

/* Places of a map, in whole lines, that are gone through for all blocks while they are in the nearest cache. */
#define PLACES_AT_ONCE 112

/* dw (outputs, kernel_height, kernel_width, channels) from x and the gradient of y. Pairs are of the same place in two
 * images that follow each other. The pairs of images are dealt to SLICES; sums of slices are added up in order. */
#define SLICES 8

void grad_weight(const int16_t *x, const int16_t *grad, const sizes *s, const float *scale, float *dw) {
    size_t C = s->channels, K = s->kernel_height * s->kernel_width * C, places = s->rows * s->columns;
    size_t wide = s->width + 2 * s->pad_width, high = s->height + 2 * s->pad_height, parts = s->parts;
    size_t tiles = (K + P - 1) / P, blocks = (s->outputs + BLOCK - 1) / BLOCK, pairs = (s->images + 1) / 2;
    size_t lines = PLACES_AT_ONCE / s->columns ? PLACES_AT_ONCE / s->columns : 1, size = tiles * blocks * P * BLOCK;
    float *sums = calloc(SLICES * size, sizeof *sums);
    int32_t *at = malloc(places * sizeof *at), *row_at = malloc(tiles * P * sizeof *row_at);
    for (size_t place = 0; place < places; place++)
        at[place] = (int32_t)((place / s->columns * wide + place % s->columns) * s->stride * 2 * C);
    for (size_t k = 0; k < tiles * P; k++) {
        size_t here = least(k, K - 1), c = here % C, j = here / C % s->kernel_width, i = here / C / s->kernel_width;
        row_at[k] = (int32_t)((i * wide + j) * 2 * C + 2 * c);
    }
    EACH_PART for (size_t part = 0; part < parts; part++) {
        int16_t *padded = calloc(high * wide * 2 * C, sizeof *padded);
        int16_t *table = malloc(blocks * places * 2 * BLOCK * sizeof *table);
        for (size_t slice = SLICES * part / parts; slice < SLICES * (part + 1) / parts; slice++)
            for (size_t pair = pairs * slice / SLICES; pair < pairs * (slice + 1) / SLICES; pair++) {
                size_t n = 2 * pair, image = s->height * s->width * C, map = places * s->outputs;
                int is_whole = n + 1 < s->images;
                pad_two(x + n * image, is_whole ? x + (n + 1) * image : NULL, s, padded);
                blocks_of_two(grad + n * map, is_whole ? grad + (n + 1) * map : NULL, places, s->outputs, table);
                for (size_t line = 0; line < s->rows; line += lines) {
                    size_t first = line * s->columns, count = least(lines, s->rows - line) * s->columns;
                    for (size_t block = 0; block < blocks; block++)
                        for (size_t tile = 0; tile < tiles; tile++) {
                            const int16_t *rows[P];
                            for (size_t p = 0; p < P; p++) rows[p] = padded + row_at[tile * P + p];
                            run_all(rows, at + first, table + (block * places + first) * 2 * BLOCK, count, s->chain,
                                    sums + slice * size + (block * tiles + tile) * P * BLOCK);
                        }
                }
            }
        free(table);
        free(padded);
    }
    for (size_t o = 0; o < s->outputs; o++)
        for (size_t k = 0; k < K; k++) {
            size_t from = (o / BLOCK * tiles + k / P) * P * BLOCK + k % P * BLOCK + o % BLOCK;
            float sum = sums[from];
            for (size_t slice = 1; slice < SLICES; slice++) sum += sums[slice * size + from];
            dw[o * K + k] = sum * *scale;
        }
    free(row_at);
    free(at);
    free(sums);
}

#endif
