/* Convolution of 16-bit integers, and its gradients, with sums in fp32.
 *
 * Products of 16-bit integers are added in pairs, and pairs in chains: as many as are sure to fit into 32 bits. The sum
 * of a chain, which is exact, is rounded to fp32 and added to a sum in fp32; that one is multiplied by the scale at the
 * end. Which pairs make up a chain, and the order of chains, depend on the shapes alone, so every processor and every
 * number of threads gives the same bits.
 *
 * All results are products of two matrices: `reduce` takes BLOCK rows of one and one or two vectors of columns of the
 * other, and follows them over a list of stretches. In `forward`, rows are pixels of the output and columns its
 * channels; in `grad_weight`, rows are channels of the input at a place of the kernel and columns channels of the
 * output. The gradient of the input is `forward` with other weights.
 *
 * Tensors (N, C, H, W) have their channels last in memory. Threads are PyTorch's own: this file is linked with no
 * OpenMP library, and takes the one that is there. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* A pair of 16-bit integers. */
typedef int pair __attribute__((may_alias, aligned(2)));

/* LANES columns are a vector; BLOCK rows times two vectors are as many sums as the registers hold beside two vectors of
 * columns and what is multiplied at the moment. */
/* `keep` has the compiler hold a vector in a register: it would rather read the columns anew for every row, and there
 * are not as many reads in a cycle. */
#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#define ISA "avx512-vnni"
#define LANES 16
#define BLOCK 8
typedef __m512i ints;
INLINE ints load(const int16_t *p) { return _mm512_loadu_si512(p); }
INLINE ints keep(ints a) {
    __asm__("" : "+v"(a));
    return a;
}
INLINE ints broadcast(const char *p) { return _mm512_set1_epi32(*(const pair *)p); }
/* As _mm512_dpwssd_epi32, for which gcc 12 copies the sums to other registers and runs out of them. */
INLINE ints add_products(ints sum, ints a, ints b) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
INLINE ints products(ints a, ints b) { return add_products(_mm512_setzero_si512(), a, b); }
INLINE void flush(float *to, const float *from, ints sum, const int more, float scale) {
    __m512 rounded = _mm512_cvtepi32_ps(sum);
    if (more) rounded = _mm512_add_ps(_mm512_loadu_ps(from), rounded);
    _mm512_storeu_ps(to, _mm512_mul_ps(rounded, _mm512_set1_ps(scale)));
}
#elif defined(__AVX2__)
INLINE __m256i add_products_8(__m256i sum, __m256i a, __m256i b) {
#if defined(__AVXVNNI__)
    /* As _mm256_dpwssd_avx_epi32, for which gcc 12 copies the sums to other registers and runs out of them. */
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}
INLINE void flush_8(float *to, const float *from, __m256i sum, const int more, float scale) {
    __m256 rounded = _mm256_cvtepi32_ps(sum);
    if (more) rounded = _mm256_add_ps(_mm256_loadu_ps(from), rounded);
    _mm256_storeu_ps(to, _mm256_mul_ps(rounded, _mm256_set1_ps(scale)));
}
#if defined(WIDE)
/* Stands in for the vectors of AVX-512 in tests. */
#define ISA "wide"
#define LANES 16
#define BLOCK 8
typedef struct {
    __m256i low, high;
} ints;
INLINE ints load(const int16_t *p) {
    return (ints){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 16))};
}
INLINE ints keep(ints a) {
    __asm__("" : "+x"(a.low), "+x"(a.high));
    return a;
}
INLINE ints broadcast(const char *p) {
    __m256i same = _mm256_set1_epi32(*(const pair *)p);
    return (ints){same, same};
}
INLINE ints add_products(ints sum, ints a, ints b) {
    return (ints){add_products_8(sum.low, a.low, b.low), add_products_8(sum.high, a.high, b.high)};
}
INLINE ints products(ints a, ints b) {
    return (ints){_mm256_madd_epi16(a.low, b.low), _mm256_madd_epi16(a.high, b.high)};
}
INLINE void flush(float *to, const float *from, ints sum, const int more, float scale) {
    flush_8(to, from, sum.low, more, scale);
    flush_8(to + 8, from + 8, sum.high, more, scale);
}
#else
#if defined(__AVXVNNI__)
#define ISA "avx-vnni"
#else
#define ISA "avx2"
#endif
#define LANES 8
#define BLOCK 6
typedef __m256i ints;
INLINE ints load(const int16_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE ints keep(ints a) {
    __asm__("" : "+x"(a));
    return a;
}
INLINE ints broadcast(const char *p) { return _mm256_set1_epi32(*(const pair *)p); }
INLINE ints add_products(ints sum, ints a, ints b) { return add_products_8(sum, a, b); }
INLINE ints products(ints a, ints b) { return _mm256_madd_epi16(a, b); }
INLINE void flush(float *to, const float *from, ints sum, const int more, float scale) {
    flush_8(to, from, sum, more, scale);
}
#endif
#else
#define ISA "none"
#endif

/* Says for what the file was built: "none" comes with no other function. */
void isa(char *name) { memcpy(name, ISA, sizeof ISA); }

#if defined(LANES)

/* Sizes of a convolution. */
typedef struct {
    size_t N, C, H, W, O, kh, kw, sh, sw, ph, pw, Ho, Wo;
} Conv;

/* Pairs that lie at equal distances, from `offset` bytes on; `last` of a chain or not. */
typedef struct {
    size_t pairs, offset, last;
} Stretch;

/* Bytes of a copy of images, which is gone through once for every two vectors of columns: part of a second-level
 * cache. */
#define COPY 98304

/* Bytes that are gone through for every few rows of the gradient: most of a first-level cache. */
#define TILE 28672

/* Pixels among which a last block that is not full does not count. */
#define PIXELS 256

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
INLINE size_t larger(size_t a, size_t b) { return a > b ? a : b; }
INLINE size_t shares(size_t a, size_t b) { return (a + b - 1) / b; }

/* Gives the next of the parts of a buffer, each of which starts a line of the cache. */
static void *take(char **space, size_t bytes) {
    void *begin = *space;
    *space += shares(bytes, 64) * 64;
    return begin;
}

/* BLOCK rows, which x points to, by vectors of columns, which lie `vector` numbers apart in w; pairs of a row follow
 * each other at `step` bytes. */
typedef struct {
    const char *x[BLOCK];
    size_t step;
    const int16_t *w;
    size_t vector;
} Factors;

/* Where sums are: those of rows lie `row` numbers apart, those of vectors `vector`. */
typedef struct {
    float *at;
    size_t row, vector;
} Sums;

/* Adds the products of one pair of every row and column, or sets the sums to them. */
INLINE void add_pair(const size_t V, const Factors *f, size_t at, const int16_t *w, const int first,
                     ints sum[BLOCK][2]) {
    ints column[2];
#pragma GCC unroll 2
    for (size_t v = 0; v < V; v++) column[v] = keep(load(w + v * f->vector));
#pragma GCC unroll 8
    for (size_t i = 0; i < BLOCK; i++) {
        ints row = broadcast(f->x[i] + at);
#pragma GCC unroll 2
        for (size_t v = 0; v < V; v++)
            sum[i][v] = first ? products(column[v], row) : add_products(sum[i][v], column[v], row);
    }
}

/* Rounds sums to fp32, adds those that are there if `more`, and multiplies by the scale. */
INLINE void put(const size_t V, ints sum[BLOCK][2], const Sums from, const int more, const Sums to, float scale) {
#pragma GCC unroll 8
    for (size_t i = 0; i < BLOCK; i++)
#pragma GCC unroll 2
        for (size_t v = 0; v < V; v++)
            flush(to.at + v * to.vector + i * to.row, from.at + v * from.vector + i * from.row, sum[i][v], more, scale);
}

/* Adds up products chain by chain, from none on if `fresh` and else from what is in `sums`, which come to lie in `to`,
 * multiplied by the scale. */
INLINE void reduce(const size_t V, const Factors *f, const Stretch *s, const Stretch *end, int fresh, const Sums sums,
                   const Sums to, float scale) {
    const int16_t *w = f->w;
    ints sum[BLOCK][2];
    for (;;) {
        size_t at = s->offset, pairs = s->pairs - 1;
        add_pair(V, f, at, w, 1, sum);
        w += 2 * LANES;
        for (;;) {
            if (pairs) do {
                    at += f->step;
                    add_pair(V, f, at, w, 0, sum);
                    w += 2 * LANES;
                } while (--pairs);
            if (s++->last) break;
            at = s->offset - f->step;
            pairs = s->pairs;
        }
        if (s == end) break;
        if (fresh)
            put(V, sum, sums, 0, sums, 1);
        else
            put(V, sum, sums, 1, sums, 1);
        fresh = 0;
    }
    if (fresh)
        put(V, sum, sums, 0, to, scale);
    else
        put(V, sum, sums, 1, to, scale);
}

/* Functions of their own, since the compiler otherwise finds other uses for the registers. */
static __attribute__((noinline)) void reduce_1(const Factors *f, const Stretch *s, const Stretch *end, int fresh,
                                               const Sums *sums, const Sums *to, float scale) {
    reduce(1, f, s, end, fresh, *sums, *to, scale);
}
static __attribute__((noinline)) void reduce_2(const Factors *f, const Stretch *s, const Stretch *end, int fresh,
                                               const Sums *sums, const Sums *to, float scale) {
    reduce(2, f, s, end, fresh, *sums, *to, scale);
}

/* How the forward goes about it: in items of `rows` rows of the output from `images` images. */
typedef struct {
    size_t copied, Cp, Wp, image, rows, images, bands, items, pairs, vectors, stretches, pixels;
} Forward;

static Forward plan(const Conv *c) {
    Forward f;
    f.Cp = c->C + c->C % 2;
    f.copied = c->C % 2 || c->ph || c->pw;
    f.Wp = c->W + 2 * c->pw;
    size_t line = f.Wp * f.Cp * sizeof(int16_t), most = COPY / line;
    size_t rows = most < c->kh ? 1 : smaller(c->Ho, (most - c->kh) / c->sh + 1);
    f.bands = shares(c->Ho, rows);
    f.rows = shares(c->Ho, f.bands);
    f.bands = shares(c->Ho, f.rows);
    f.image = (f.copied ? (f.rows - 1) * c->sh + c->kh : c->H) * f.Wp * f.Cp;
    size_t wanted = smaller(shares(PIXELS, c->Ho * c->Wo), larger(1, COPY / (f.image * sizeof(int16_t))));
    f.images = f.bands == 1 ? smaller(wanted, c->N) : 1;
    f.items = shares(c->N, f.images) * f.bands;
    f.pairs = c->kh * c->kw * f.Cp / 2;
    f.vectors = shares(c->O, LANES);
    f.stretches = f.pairs + c->kh;
    f.pixels = shares(f.images * f.rows * c->Wo, BLOCK) * BLOCK;
    return f;
}

/* Says how many bytes of space `forward` needs. */
void forward_space(const Conv *c, size_t parts, size_t *bytes) {
    Forward f = plan(c);
    size_t shared = f.vectors * f.pairs * 2 * LANES * sizeof(int16_t) + f.pixels * sizeof(size_t);
    *bytes = shared + f.stretches * sizeof(Stretch) +
             f.copied * parts * (f.images * f.image * sizeof(int16_t) + 64) + 256;
}

/* Orders weights as vector, kernel row, kernel column, pair of channels, lane, one of the pair. `strides` are those of
 * O, C, kh and kw. */
static void pack_weights(const Conv *c, const Forward *f, const int16_t *weight, const ptrdiff_t *strides,
                         int16_t *to) {
    memset(to, 0, f->vectors * f->pairs * 2 * LANES * sizeof(int16_t));
    for (size_t o = 0; o < c->O; o++)
        for (size_t h = 0; h < c->kh; h++)
            for (size_t w = 0; w < c->kw; w++) {
                const int16_t *from = weight + (ptrdiff_t)o * strides[0];
                from += (ptrdiff_t)h * strides[2] + (ptrdiff_t)w * strides[3];
                size_t pair = o / LANES * f->pairs + (h * c->kw + w) * f->Cp / 2;
                int16_t *at = to + (pair * LANES + o % LANES) * 2;
                for (size_t i = 0; i < c->C; i++) at[i / 2 * 2 * LANES + i % 2] = from[(ptrdiff_t)i * strides[1]];
            }
}

/* Cuts the pairs of a pixel, kernel row by kernel row, into chains. */
static size_t cut_kernel(const Conv *c, const Forward *f, size_t chain, Stretch *s) {
    size_t row = c->kw * f->Cp / 2, count = 0;
    for (size_t begin = 0; begin < f->pairs;) {
        size_t here = begin % row, free = chain - begin % chain, pairs = smaller(row - here, free);
        size_t offset = (begin / row * f->Wp * f->Cp + here * 2) * sizeof(int16_t);
        begin += pairs;
        s[count++] = (Stretch){pairs, offset, pairs == free || begin == f->pairs};
    }
    return count;
}

/* Copies rows of an image with zeros around, from padded row `first` on. */
static void pad(const Conv *c, const Forward *f, const int16_t *x, size_t first, size_t rows, int16_t *to) {
    size_t line = f->Wp * f->Cp;
    for (size_t r = first; r < first + rows; r++, to += line) {
        if (r < c->ph || r >= c->ph + c->H) {
            memset(to, 0, line * sizeof(int16_t));
            continue;
        }
        const int16_t *from = x + (r - c->ph) * c->W * c->C;
        int16_t *inner = to + c->pw * f->Cp;
        memset(to, 0, c->pw * f->Cp * sizeof(int16_t));
        if (c->C == f->Cp)
            memcpy(inner, from, c->W * c->C * sizeof(int16_t));
        else
            for (size_t w = 0; w < c->W; w++) {
                memcpy(inner + w * f->Cp, from + w * c->C, c->C * sizeof(int16_t));
                inner[w * f->Cp + c->C] = 0;
            }
        memset(inner + c->W * f->Cp, 0, c->pw * f->Cp * sizeof(int16_t));
    }
}

/* Computes V vectors of channels, the first of them `first`, for all pixels of an item. */
INLINE void columns(const size_t V, const Conv *c, const Forward *f, const char *x, const size_t *offsets,
                    size_t pixels, const int16_t *w, size_t first, const Stretch *s, size_t count, float scale,
                    float *y) {
    float sums[2 * BLOCK * LANES] __attribute__((aligned(64)));
    size_t vector = f->pairs * 2 * LANES, channel = first * LANES, lanes = smaller(V * LANES, c->O - channel);
    const Sums within = {sums, V * LANES, LANES};
    for (size_t p = 0; p < pixels; p += BLOCK) {
        Factors factors = {.step = 2 * sizeof(int16_t), .w = w + first * vector, .vector = vector};
        float *to = y + p * c->O + channel;
        for (size_t i = 0; i < BLOCK; i++) factors.x[i] = x + offsets[smaller(p + i, pixels - 1)];
        /* Whole lines are waited for when a store finds them absent, and strides of O are not foreseen. */
        for (size_t i = 0; i < BLOCK; i++) __builtin_prefetch(to + (BLOCK + i) * c->O, 1);
        if (lanes == V * LANES && p + BLOCK <= pixels) {
            const Sums whole = {to, c->O, LANES};
            (V == 2 ? reduce_2 : reduce_1)(&factors, s, s + count, 1, &within, &whole, scale);
        } else {
            (V == 2 ? reduce_2 : reduce_1)(&factors, s, s + count, 1, &within, &within, scale);
            for (size_t i = 0; i < smaller(BLOCK, pixels - p); i++)
                memcpy(to + i * c->O, sums + i * V * LANES, lanes * sizeof(float));
        }
    }
}

/* Computes y (N, O, Ho, Wo) from x (N, C, H, W). */
void forward(const Conv *c, const int16_t *x, const int16_t *weight, const ptrdiff_t *strides, const float *scale,
             size_t chain, size_t parts, char *space, float *y) {
    const Forward f = plan(c);
    int16_t *packed = take(&space, f.vectors * f.pairs * 2 * LANES * sizeof(int16_t));
    size_t *offsets = take(&space, f.pixels * sizeof(size_t));
    Stretch *stretches = take(&space, f.stretches * sizeof(Stretch));
    size_t bytes = shares(f.images * f.image * sizeof(int16_t), 64) * 64, count = cut_kernel(c, &f, chain, stretches);
    pack_weights(c, &f, weight, strides, packed);
    for (size_t n = 0, p = 0; n < f.images; n++)
        for (size_t h = 0; h < f.rows; h++)
            for (size_t w = 0; w < c->Wo; w++)
                offsets[p++] = (n * f.image + (h * c->sh * f.Wp + w * c->sw) * f.Cp) * sizeof(int16_t);
#pragma omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)
    for (size_t part = 0; part < parts; part++)
        for (size_t item = f.items * part / parts; item < f.items * (part + 1) / parts; item++) {
            size_t n = item / f.bands * f.images, images = smaller(f.images, c->N - n);
            size_t h = item % f.bands * f.rows, rows = smaller(f.rows, c->Ho - h);
            const int16_t *from = x + (n * c->H + (f.copied ? 0 : h * c->sh)) * c->W * c->C;
            if (f.copied) {
                int16_t *copy = (int16_t *)(space + part * bytes);
                for (size_t i = 0; i < images; i++)
                    pad(c, &f, from + i * c->H * c->W * c->C, h * c->sh, (rows - 1) * c->sh + c->kh,
                        copy + i * f.image);
                from = copy;
            }
            float *to = y + (n * c->Ho + h) * c->Wo * c->O;
            size_t pixels = images * rows * c->Wo, v = 0;
            for (; v + 2 <= f.vectors; v += 2)
                columns(2, c, &f, (const char *)from, offsets, pixels, packed, v, stretches, count, *scale, to);
            if (v < f.vectors)
                columns(1, c, &f, (const char *)from, offsets, pixels, packed, v, stretches, count, *scale, to);
        }
}

/* How the gradient of the weight goes about it: in tiles of `rows` rows of the output from two images. */
typedef struct {
    size_t Wp, pieces, joined, rows, lines, x_bytes, g_bytes, s_bytes, line, vectors, apart, sums;
} Gradient;

static Gradient plan_gradient(const Conv *c, size_t chain) {
    Gradient g;
    g.Wp = c->W + 2 * c->pw;
    /* A row of the output is cut into equal pieces, or several rows make up a chain: stretches of one length keep the
     * processor from guessing wrong where they end. */
    g.pieces = shares(c->Wo, chain);
    g.joined = larger(1, chain / c->Wo);
    size_t in_row = g.Wp * c->C * 4, out_row = c->Wo * 2 * LANES * 4;
    size_t halo = c->kh > c->sh ? (c->kh - c->sh) * in_row : 0;
    size_t most = TILE > halo ? (TILE - halo) / (c->sh * in_row + out_row) : 0;
    size_t rows = smaller(shares(c->Ho, g.joined), larger(1, most / g.joined)) * g.joined;
    size_t tiles = shares(c->Ho, rows);
    g.rows = shares(shares(c->Ho, tiles), g.joined) * g.joined;
    g.lines = (g.rows - 1) * c->sh + c->kh;
    g.vectors = shares(c->O, LANES);
    /* A last block of rows reads on behind the last pixel. */
    g.x_bytes = shares(g.lines * in_row + BLOCK * 4, 64) * 64;
    g.g_bytes = shares(g.vectors * g.rows * c->Wo * LANES * 4, 64) * 64;
    g.s_bytes = shares(g.rows * g.pieces * sizeof(Stretch), 64) * 64;
    g.line = shares(c->kw * c->C, BLOCK) * BLOCK;
    g.apart = c->kh * g.line * LANES;
    g.sums = g.vectors * g.apart;
    return g;
}

/* Says how many bytes of space `grad_weight` needs. */
void grad_weight_space(const Conv *c, size_t chain, size_t slices, size_t parts, size_t *bytes) {
    Gradient g = plan_gradient(c, chain);
    *bytes = slices * g.sums * sizeof(float) + parts * (g.x_bytes + g.g_bytes + g.s_bytes) + 64;
}

/* Puts the numbers of two images beside each other; the second may be missing. */
INLINE void pair_up(const int16_t *one, const int16_t *two, size_t count, int16_t *to) {
    if (two)
        for (size_t i = 0; i < count; i++) {
            to[2 * i] = one[i];
            to[2 * i + 1] = two[i];
        }
    else
        for (size_t i = 0; i < count; i++) {
            to[2 * i] = one[i];
            to[2 * i + 1] = 0;
        }
}

/* Pairs up padded rows of two images, from row `first` on. */
static void pair_images(const Conv *c, const Gradient *g, const int16_t *x, int both, size_t first, size_t rows,
                        int16_t *to) {
    size_t line = g->Wp * c->C * 2, side = c->pw * c->C * 2;
    for (size_t r = first; r < first + rows; r++, to += line) {
        if (r < c->ph || r >= c->ph + c->H) {
            memset(to, 0, line * sizeof(int16_t));
            continue;
        }
        const int16_t *from = x + (r - c->ph) * c->W * c->C;
        memset(to, 0, side * sizeof(int16_t));
        pair_up(from, both ? from + c->H * c->W * c->C : NULL, c->W * c->C, to + side);
        memset(to + line - side, 0, side * sizeof(int16_t));
    }
}

/* Pairs up pixels of two gradients, as vector, pixel, lane, one of the pair. */
static void pair_gradients(const Conv *c, const int16_t *grad, int both, size_t pixels, int16_t *to) {
    size_t image = c->Ho * c->Wo * c->O;
    for (size_t o = 0; o < c->O; o += LANES) {
        size_t lanes = smaller(LANES, c->O - o);
        if (lanes < LANES) memset(to, 0, pixels * 2 * LANES * sizeof(int16_t));
        for (size_t p = 0; p < pixels; p++, to += 2 * LANES) {
            const int16_t *from = grad + p * c->O + o;
            if (lanes == LANES)
                pair_up(from, both ? from + image : NULL, LANES, to);
            else
                pair_up(from, both ? from + image : NULL, lanes, to);
        }
    }
}

/* Cuts the pixels of a tile into chains. */
static size_t cut_tile(const Conv *c, const Gradient *g, size_t rows, Stretch *s) {
    size_t count = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < g->pieces; i++) {
            size_t begin = c->Wo * i / g->pieces, end = c->Wo * (i + 1) / g->pieces;
            size_t offset = (r * c->sh * g->Wp + begin * c->sw) * c->C * 4;
            s[count++] = (Stretch){end - begin, offset, g->pieces > 1 || (r + 1) % g->joined == 0 || r + 1 == rows};
        }
    return count;
}

/* Adds what a tile has for V vectors of channels of the output. */
INLINE void add_tile(const size_t V, const Conv *c, const Gradient *g, const char *x, const int16_t *w, size_t vector,
                     const Stretch *s, size_t count, float *sums, int fresh) {
    for (size_t h = 0; h < c->kh; h++)
        for (size_t j = 0; j < g->line; j += BLOCK) {
            Factors factors = {.step = c->sw * c->C * 4, .w = w, .vector = vector};
            for (size_t i = 0; i < BLOCK; i++) factors.x[i] = x + (h * g->Wp * c->C + j + i) * 4;
            const Sums block = {sums + (h * g->line + j) * LANES, LANES, g->apart};
            (V == 2 ? reduce_2 : reduce_1)(&factors, s, s + count, fresh, &block, &block, 1);
        }
}

/* Adds up the slices, one after the other, for the channels of a vector and a row of the kernel. */
static void add_slices(const Conv *c, const Gradient *g, const float *sums, size_t slices, size_t v, size_t h,
                       float scale, float *to, const ptrdiff_t *strides) {
    for (size_t j = 0; j < c->kw * c->C; j++) {
        const float *from = sums + v * g->apart + (h * g->line + j) * LANES;
        float total[LANES];
        for (size_t l = 0; l < LANES; l++) total[l] = from[l];
        for (size_t slice = 1; slice < slices; slice++)
            for (size_t l = 0; l < LANES; l++) total[l] += from[slice * g->sums + l];
        ptrdiff_t channel = (ptrdiff_t)(j % c->C), column = (ptrdiff_t)(j / c->C);
        ptrdiff_t place = channel * strides[1] + (ptrdiff_t)h * strides[2] + column * strides[3];
        for (size_t l = 0; l < smaller(LANES, c->O - v * LANES); l++)
            to[(ptrdiff_t)(v * LANES + l) * strides[0] + place] = total[l] * scale;
    }
}

/* Computes the gradient (O, C, kh, kw) from x (N, C, H, W) and the gradient (N, O, Ho, Wo) of y; `strides` are those of
 * the result. Pairs of images are divided among slices, and slices among threads. */
void grad_weight(const Conv *c, const int16_t *x, const int16_t *grad, const float *scale, size_t chain, size_t slices,
                 size_t parts, char *space, float *to, const ptrdiff_t *strides) {
    const Gradient g = plan_gradient(c, chain);
    float *sums = take(&space, slices * g.sums * sizeof(float));
    size_t pairs = shares(c->N, 2), bytes = g.x_bytes + g.g_bytes + g.s_bytes;
#pragma omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)
    for (size_t part = 0; part < parts; part++) {
        char *own = space + part * bytes;
        int16_t *tile = (int16_t *)own, *columns = (int16_t *)(own + g.x_bytes);
        Stretch *stretches = (Stretch *)(own + g.x_bytes + g.g_bytes);
        for (size_t slice = slices * part / parts; slice < slices * (part + 1) / parts; slice++) {
            int fresh = 1;
            for (size_t n = pairs * slice / slices; n < pairs * (slice + 1) / slices; n++) {
                int both = 2 * n + 1 < c->N;
                for (size_t h = 0; h < c->Ho; h += g.rows, fresh = 0) {
                    size_t rows = smaller(g.rows, c->Ho - h), vector = rows * c->Wo * 2 * LANES, v = 0;
                    size_t count = cut_tile(c, &g, rows, stretches);
                    size_t lines = (rows - 1) * c->sh + c->kh;
                    pair_images(c, &g, x + 2 * n * c->H * c->W * c->C, both, h * c->sh, lines, tile);
                    pair_gradients(c, grad + (2 * n * c->Ho + h) * c->Wo * c->O, both, rows * c->Wo, columns);
                    float *of_slice = sums + slice * g.sums;
                    for (; v + 2 <= g.vectors; v += 2)
                        add_tile(2, c, &g, (const char *)tile, columns + v * vector, vector, stretches, count,
                                 of_slice + v * g.apart, fresh);
                    if (v < g.vectors)
                        add_tile(1, c, &g, (const char *)tile, columns + v * vector, vector, stretches, count,
                                 of_slice + v * g.apart, fresh);
                }
            }
        }
    }
#pragma omp parallel for num_threads(parts) schedule(static) if (parts > 1)
    for (size_t i = 0; i < g.vectors * c->kh; i++)
        add_slices(c, &g, sums, slices, i / c->kh, i % c->kh, *scale, to, strides);
}
#endif
