// Half a block of the pose encoder on the CPU: attention and MLP over one axis, each with pre-norm
// and a residual, forward and backward, in float32. Factors of products are optionally bf16.
//
// In PyTorch, each step reads and writes the whole batch, which takes longer than the arithmetic
// for the widths of small encoders. Here, a thread processes a few sequences in all steps, with
// intermediate results in its cache. Only the input is stored for the backward pass, which
// recomputes intermediate results, because this is faster than reading them from memory.
//
// Letters: L tokens per sequence, D width, H heads, S = D / H, F hidden width of the MLP, R rows of
// a tile. D and F are multiples of kSimdWidth. Matrices are row-major.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#define SIMD_WIDTH 16
#else
#define SIMD_WIDTH 8
#endif

namespace {

constexpr int kSimdWidth = SIMD_WIDTH;
typedef float Vec __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef int32_t Ints __attribute__((vector_size(4 * SIMD_WIDTH)));
typedef std::vector<float> Floats;

constexpr float kEps = 1e-6f;  // of the layer norms, as in dstformer.py
constexpr long kTileRows = 96;
constexpr float kHidden = -1e30f;  // logit of masked keys

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline void add_to(float* p, Vec v) { store(p, load(p) + v); }
inline Vec all(float x) { return x - Vec{}; }
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

inline float sum_of(Vec v) {
#ifdef __AVX512F__
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum = 0;
  for (int i = 0; i < kSimdWidth; ++i) sum += v[i];
  return sum;
#endif
}

inline float largest_of(Vec v) {
#ifdef __AVX512F__
  return _mm512_reduce_max_ps((__m512)v);
#endif
  float top = v[0];
  for (int i = 1; i < kSimdWidth; ++i) top = std::max(top, v[i]);
  return top;
}

// 1 / x for x >= 1; a division would take half the time of an activation.
inline Vec inverse_of(Vec x) {
#ifdef __AVX512F__
  const Vec guess = (Vec)_mm512_rcp14_ps((__m512)x);
  return guess * (2.f - x * guess);
#else
  return 1.f / x;
#endif
}

// exp(x) for x <= 0 with float precision (polynomial of Cephes); 0 below -87.
inline Vec exp_of(Vec x) {
  const Vec low = larger(x, all(-87.f));
  const Ints n = __builtin_convertvector(low * 1.44269504f - 0.5f, Ints);
  const Vec whole = __builtin_convertvector(n, Vec);
  const Vec r = (low - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  const Vec result = p * (Vec)((n + 127) << 23);
  return x < -87.f ? Vec{} : result;
}

// ---- Matrix products -------------------------------------------------------------------------

// Products are computed in steps of k: one value of each row in float32, two in bf16, as a Pair.
typedef int32_t Pair;
typedef std::vector<Pair> Pairs;

template <typename T>
struct Matrix {  // element (i, p) is data[i * rows + p * columns]
  const T* data;
  long rows, columns = 1;
};

Matrix<float> transposed(Matrix<float> m) { return {m.data, m.columns, m.rows}; }

// Target of a product: C = scale * A B + row + base; row and base are optional.
struct Target {
  float* data;
  long rows;
  const float* row = nullptr;
  const float* base = nullptr;  // with the layout of C; may be C
  float scale = 1;
};

inline void multiply_add(float a, const float* b, Vec& sum) { sum += a * load(b); }

#ifdef __AVX512BF16__
constexpr bool kHasPairs = true;

inline void multiply_add(Pair a, const Pair* b, Vec& sum) {
  sum = (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(a),
                              (__m512bh)_mm512_loadu_si512(b));
}

// Interleave kSimdWidth values of two rows.
inline void store_pairs(Pair* to, __m512 first, __m512 second) {
  const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
  const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

inline __m512 load_some(const float* from, long some) {
  const __mmask16 mask = some >= kSimdWidth ? 0xffff : some > 0 ? (1 << some) - 1 : 0;
  return _mm512_maskz_loadu_ps(mask, from);
}

// Interleave rows p and p + 1 of a (k, n) matrix: (k / 2 rounded up, n padded to `ld`).
Matrix<Pair> pair_rows(long k, long n, const float* from, long rows, Pairs& to) {
  const long ld = (n + kSimdWidth - 1) / kSimdWidth * kSimdWidth;
  to.resize(std::max<size_t>(to.size(), (k + 1) / 2 * ld));
  for (long p = 0; p < k; p += 2) {
    for (long j = 0; j < n; j += kSimdWidth) {
      const float* at = from + p * rows + j;
      store_pairs(&to[p / 2 * ld + j], load_some(at, n - j),
                  load_some(at + (p + 1 < k ? rows : 0), p + 1 < k ? n - j : 0));
    }
  }
  return {to.data(), ld};
}

// Pair columns p and p + 1 of an (m, k) matrix: (m, k / 2, padded).
Matrix<Pair> pair_columns(long m, long k, const float* from, long rows, Pairs& to) {
  const long ld = (k + kSimdWidth - 1) / kSimdWidth * (kSimdWidth / 2);
  to.resize(std::max<size_t>(to.size(), m * ld));
  for (long i = 0; i < m; ++i) {
    for (long p = 0; p < k; p += kSimdWidth) {
      const __m256bh low = _mm512_cvtneps_pbh(load_some(from + i * rows + p, k - p));
      _mm256_storeu_si256((__m256i*)&to[i * ld + p / 2], (__m256i)low);
    }
  }
  return {to.data(), ld};
}
#else
constexpr bool kHasPairs = false;
#endif

// Compute M rows and V vectors of C, with sums in registers. Only the first `used` values of the
// last vector are in C.
template <int M, int V, typename T>
inline void block(long steps, Matrix<T> a, const T* b, long b_rows, Target c, long i0, long j0,
                  long used) {
  Vec sums[M][V] = {};
  const T* left = a.data + i0 * a.rows;
  b += j0;
  for (long p = 0; p < steps; ++p, left += a.columns, b += b_rows) {
#pragma GCC unroll 12
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add(left[i * a.rows], b + v * kSimdWidth, sums[i][v]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const long j = j0 + v * kSimdWidth, here = (i0 + i) * c.rows + j;
      Vec sum = c.scale * sums[i][v];
      if (c.row) sum += load(c.row + j);
      if (c.base) sum += load(c.base + here);
      if (v + 1 < V || used == kSimdWidth) {
        store(c.data + here, sum);
      } else {
        std::memcpy(c.data + here, &sum, used * sizeof(float));
      }
    }
  }
}

// Compute rows i to m, M rows at a time, and the remaining rows.
template <int M, int V, typename T>
inline void strip(long m, long steps, Matrix<T> a, Matrix<T> b, Target c, long i, long j,
                  long used = kSimdWidth) {
  for (; i + M <= m; i += M) block<M, V>(steps, a, b.data, b.rows, c, i, j, used);
  if constexpr (M > 1) {
    if (i < m) strip<(M + 1) / 2, V>(m, steps, a, b, c, i, j, used);
  }
}

// C (m, n) from A (m, steps) and B (steps, n). B has unit column stride. If n is not a multiple of
// kSimdWidth, up to kSimdWidth - 1 values after the end of B, and of the row of C, are read.
template <typename T>
void multiply(long m, long n, long steps, Matrix<T> a, Matrix<T> b, Target c) {
  constexpr int wide = kSimdWidth == 16 ? 4 : 2, tall = kSimdWidth == 16 ? 12 : 6;
  long j = 0;
  for (; j + wide * kSimdWidth <= n; j += wide * kSimdWidth) {
    strip<6, wide>(m, steps, a, b, c, 0, j);
  }
  for (; j + 2 * kSimdWidth <= n; j += 2 * kSimdWidth) strip<tall, 2>(m, steps, a, b, c, 0, j);
  for (; j < n; j += kSimdWidth) {
    strip<12, 1>(m, steps, a, b, c, 0, j, std::min<long>(kSimdWidth, n - j));
  }
}

// Products in float32, or with factors rounded to bf16 and sums in float32.
struct Products {
  bool bf16;
  Pairs left = {}, right = {};
  void operator()(long m, long n, long k, Matrix<float> a, Matrix<float> b, Target c) {
#ifdef __AVX512BF16__
    if (bf16) {
      Matrix<Pair> pairs = a.columns == 1 ? pair_columns(m, k, a.data, a.rows, left)
                                          : pair_rows(k, m, a.data, a.columns, left);
      if (a.columns != 1) pairs = {pairs.data, 1, pairs.rows};
      return multiply(m, n, (k + 1) / 2, pairs, pair_rows(k, n, b.data, b.rows, right), c);
    }
#endif
    multiply(m, n, k, a, b, c);
  }
};

// out (n, m padded to `ld` with zeros) = transpose of in (m, n).
void transpose(long m, long n, const float* in, long ld_in, float* out, long ld) {
  for (long j = 0; j < n; ++j) {
    for (long i = 0; i < m; ++i) out[j * ld + i] = in[i * ld_in + j];
    std::fill(out + j * ld + m, out + (j + 1) * ld, 0.f);
  }
}

// ---- Rows ------------------------------------------------------------------------------------

// Standardize rows to mean 0 and standard deviation 1, and compute 1 / deviation of each row.
void standardize(const float* x, long rows, long D, float* out, float* inverse) {
  for (long r = 0; r < rows; ++r, x += D, out += D) {
    Vec sum{}, squares{};
    for (long d = 0; d < D; d += kSimdWidth) sum += load(x + d);
    const float mean = sum_of(sum) / D;
    for (long d = 0; d < D; d += kSimdWidth) {
      const Vec off = load(x + d) - mean;
      squares += off * off;
    }
    inverse[r] = 1.f / std::sqrt(sum_of(squares) / D + kEps);
    for (long d = 0; d < D; d += kSimdWidth) store(out + d, (load(x + d) - mean) * inverse[r]);
  }
}

// Add the gradient of the input to `d_x`, from the gradient `d_norm` of standardized rows.
void add_standardize_backward(const float* d_norm, const float* norm, const float* inverse,
                              long rows, long D, float* d_x) {
  for (long r = 0; r < rows; ++r, d_norm += D, norm += D, d_x += D) {
    Vec sum{}, along{};
    for (long d = 0; d < D; d += kSimdWidth) {
      sum += load(d_norm + d);
      along += load(d_norm + d) * load(norm + d);
    }
    const float mean = sum_of(sum) / D, slope = sum_of(along) / D;
    for (long d = 0; d < D; d += kSimdWidth) {
      add_to(d_x + d, inverse[r] * (load(d_norm + d) - mean - load(norm + d) * slope));
    }
  }
}

void add_column_sums(const float* x, long rows, long n, float* out) {
  for (long i = 0; i < n; i += kSimdWidth) {
    Vec sum = load(out + i);
    for (long r = 0; r < rows; ++r) sum += load(x + r * n + i);
    store(out + i, sum);
  }
}

// Exact GELU and, optionally, its derivative. erf is Abramowitz and Stegun 7.1.26, error < 1.5e-7.
void gelu(const float* x, long n, float* out, float* slope) {
  for (long i = 0; i < n; i += kSimdWidth) {
    const Vec h = load(x + i), size = h < 0.f ? -h : h;
    const Vec density = exp_of(-0.5f * h * h);
    const Vec t = inverse_of(1.f + 0.3275911f * 0.70710678f * size);
    Vec p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const Vec tail = 0.5f * p * t * density;
    const Vec below = h < 0.f ? tail : 1.f - tail;
    store(out + i, h * below);
    if (slope) store(slope + i, below + h * 0.39894228f * density);
  }
}

// Softmax of rows of logits, in place.
void softmax(float* x, long rows, long n) {
  for (long r = 0; r < rows; ++r, x += n) {
    Vec top = load(x), sum{};
    for (long j = kSimdWidth; j < n; j += kSimdWidth) top = larger(top, load(x + j));
    const float largest = largest_of(top);
    for (long j = 0; j < n; j += kSimdWidth) {
      store(x + j, exp_of(load(x + j) - largest));
      sum += load(x + j);
    }
    const float scale = 1.f / sum_of(sum);
    for (long j = 0; j < n; j += kSimdWidth) store(x + j, load(x + j) * scale);
  }
}

// Convert d_p to the gradient of the logits, in place.
void softmax_backward(const float* p, float* d_p, long rows, long n) {
  for (long r = 0; r < rows; ++r, p += n, d_p += n) {
    Vec along{};
    for (long j = 0; j < n; j += kSimdWidth) along += load(p + j) * load(d_p + j);
    const float mean = sum_of(along);
    for (long j = 0; j < n; j += kSimdWidth) store(d_p + j, load(p + j) * (load(d_p + j) - mean));
  }
}

// ---- Parameters ------------------------------------------------------------------------------

enum { kNorm1W, kNorm1B, kQkvW, kQkvB, kProjW, kProjB, kNorm2W, kNorm2B, kFc1W, kFc1B, kFc2W,
       kFc2B, kParameters };

struct Sizes {
  long L, D, H, F;
  bool bf16;
  long head() const { return D / H; }
  long padded() const { return (L + kSimdWidth - 1) / kSimdWidth * kSimdWidth; }
  long offset(int parameter) const {  // of its gradient in the flat buffer
    const long sizes[] = {D, D, 3 * D * D, 3 * D, D * D, D, D, D, F * D, F, D * F, D};
    long sum = 0;
    for (int i = 0; i < parameter; ++i) sum += sizes[i];
    return sum;
  }
};

// A linear layer that includes the scale and shift of the preceding layer norm:
// (n * scale + shift) W^T + c = n (W diag(scale))^T + (W shift + c).
struct Folded {
  Floats weight, flipped, bias;  // weight (out, in), flipped (in, out)
  Folded(const float* scale, const float* shift, const float* W, const float* c, long out, long in)
      : weight(out * in), flipped(in * out), bias(c, c + out) {
    for (long o = 0; o < out; ++o) {
      for (long i = 0; i < in; ++i) {
        weight[o * in + i] = W[o * in + i] * scale[i];
        bias[o] += W[o * in + i] * shift[i];
      }
    }
    transpose(out, in, weight.data(), in, flipped.data(), out);
  }
};

// Convert gradients of a folded layer to those of its parts; d_weight is changed in place.
void unfold(const float* scale, const float* shift, const float* W, long out, long in,
            const float* d_bias, float* d_weight, float* d_scale, float* d_shift) {
  for (long o = 0; o < out; ++o) {
    for (long i = 0; i < in; ++i) {
      float& g = d_weight[o * in + i];
      d_scale[i] += g * W[o * in + i];
      d_shift[i] += d_bias[o] * W[o * in + i];
      g = g * scale[i] + d_bias[o] * shift[i];
    }
  }
}

struct Weights {
  const float* const* p;
  Folded qkv, fc1;
  Floats proj, fc2;  // flipped: (in, out)
  Weights(const float* const* p, const Sizes& n)
      : p(p), qkv(p[kNorm1W], p[kNorm1B], p[kQkvW], p[kQkvB], 3 * n.D, n.D),
        fc1(p[kNorm2W], p[kNorm2B], p[kFc1W], p[kFc1B], n.F, n.D), proj(n.D * n.D),
        fc2(n.F * n.D) {
    transpose(n.D, n.D, p[kProjW], n.D, proj.data(), n.D);
    transpose(n.D, n.F, p[kFc2W], n.F, fc2.data(), n.D);
  }
};

// ---- A tile ----------------------------------------------------------------------------------

// Buffers of one thread for its sequences.
struct Tile {
  Sizes n;
  Floats x, norm1, inverse1, qkv, p, mixed, mid, norm2, inverse2, hidden, active, slope;
  Floats d_mid, d_active, d_norm, d_mixed, d_qkv, d_p, flipped;
  Products product;
  Tile(long R, const Sizes& n, bool backward)
      : n(n), x(R * n.D), norm1(R * n.D), inverse1(R), qkv(R * 3 * n.D + kSimdWidth),
        p(R * n.H * n.padded()),
        mixed(R * n.D), mid(R * n.D), norm2(R * n.D), inverse2(R), hidden(R * n.F),
        active(R * n.F), flipped(n.head() * n.padded()), product{n.bf16} {
    if (!backward) return;
    slope.resize(R * n.F);
    d_mid.resize(R * n.D);
    d_active.resize(R * n.F);
    d_norm.resize(R * n.D);
    d_mixed.resize(R * n.D + kSimdWidth);
    d_qkv.resize(R * 3 * n.D);
    d_p.resize(n.L * n.padded());
  }

  // C += A B.
  void add_product(long m, long n, long k, Matrix<float> a, Matrix<float> b, float* c, long rows) {
    product(m, n, k, a, b, {c, rows, nullptr, c});
  }

  // All steps up to the activations of the MLP. biases: (padded) of each sequence.
  void forward(long rows, const Weights& w, const float* const* biases, bool keep_slope) {
    const long D = n.D, F = n.F, L = n.L, S = n.head(), P = n.padded();
    standardize(x.data(), rows, D, norm1.data(), inverse1.data());
    product(rows, 3 * D, D, {norm1.data(), D}, {w.qkv.flipped.data(), 3 * D},
            {qkv.data(), 3 * D, w.qkv.bias.data()});
    const float scale = 1.f / std::sqrt(static_cast<float>(S));
    for (long s = 0; s < rows / L; ++s) {
      for (long h = 0; h < n.H; ++h) {
        const float* q = qkv.data() + s * L * 3 * D + h * S;
        float* weights = p.data() + (s * n.H + h) * L * P;
        transpose(L, S, q + D, 3 * D, flipped.data(), P);
        product(L, P, S, {q, 3 * D}, {flipped.data(), P}, {weights, P, biases[s], nullptr, scale});
        softmax(weights, L, P);
        product(L, S, L, {weights, P}, {q + 2 * D, 3 * D}, {mixed.data() + s * L * D + h * S, D});
      }
    }
    product(rows, D, D, {mixed.data(), D}, {w.proj.data(), D},
            {mid.data(), D, w.p[kProjB], x.data()});
    standardize(mid.data(), rows, D, norm2.data(), inverse2.data());
    product(rows, F, D, {norm2.data(), D}, {w.fc1.flipped.data(), F},
            {hidden.data(), F, w.fc1.bias.data()});
    gelu(hidden.data(), rows * F, active.data(), keep_slope ? slope.data() : nullptr);
  }

  void finish(long rows, const Weights& w, float* out) {
    product(rows, n.D, n.F, {active.data(), n.F}, {w.fc2.data(), n.D},
            {out, n.D, w.p[kFc2B], mid.data()});
  }

  // After forward: convert d_y (rows, D) to the gradient of the input in d_mid, and add the
  // gradients of the parameters, for folded matrices, to `grad` with the layout of Sizes::offset.
  void backward(long rows, const Weights& w, const float* d_y, float* grad) {
    const long D = n.D, F = n.F, L = n.L, S = n.head(), P = n.padded();
    const auto of = [&](int parameter) { return grad + n.offset(parameter); };
    add_column_sums(d_y, rows, D, of(kFc2B));
    add_product(D, F, rows, transposed({d_y, D}), {active.data(), F}, of(kFc2W), F);
    product(rows, F, D, {d_y, D}, {w.p[kFc2W], F}, {d_active.data(), F});
    for (long i = 0; i < rows * F; i += kSimdWidth) {
      store(&d_active[i], load(&d_active[i]) * load(&slope[i]));
    }
    add_column_sums(d_active.data(), rows, F, of(kFc1B));
    add_product(F, D, rows, transposed({d_active.data(), F}), {norm2.data(), D}, of(kFc1W), D);
    product(rows, D, F, {d_active.data(), F}, {w.fc1.weight.data(), D}, {d_norm.data(), D});
    std::memcpy(d_mid.data(), d_y, rows * D * sizeof(float));
    add_standardize_backward(d_norm.data(), norm2.data(), inverse2.data(), rows, D, d_mid.data());
    add_column_sums(d_mid.data(), rows, D, of(kProjB));
    add_product(D, D, rows, transposed({d_mid.data(), D}), {mixed.data(), D}, of(kProjW), D);
    product(rows, D, D, {d_mid.data(), D}, {w.p[kProjW], D}, {d_mixed.data(), D});
    const float scale = 1.f / std::sqrt(static_cast<float>(S));
    for (long s = 0; s < rows / L; ++s) {
      for (long h = 0; h < n.H; ++h) {
        const Matrix<float> q{qkv.data() + s * L * 3 * D + h * S, 3 * D}, k{q.data + D, 3 * D};
        const Matrix<float> d_out{d_mixed.data() + s * L * D + h * S, D}, d_logits{d_p.data(), P};
        const Matrix<float> weights{p.data() + (s * n.H + h) * L * P, P};
        float* d_q = d_qkv.data() + s * L * 3 * D + h * S;
        product(L, S, L, transposed(weights), d_out, {d_q + 2 * D, 3 * D});
        transpose(L, S, k.data + D, 3 * D, flipped.data(), P);
        product(L, P, S, d_out, {flipped.data(), P}, {d_p.data(), P});
        softmax_backward(weights.data, d_p.data(), L, P);
        product(L, S, L, d_logits, k, {d_q, 3 * D, nullptr, nullptr, scale});
        product(L, S, L, transposed(d_logits), q, {d_q + D, 3 * D, nullptr, nullptr, scale});
      }
    }
    add_column_sums(d_qkv.data(), rows, 3 * D, of(kQkvB));
    add_product(3 * D, D, rows, transposed({d_qkv.data(), 3 * D}), {norm1.data(), D}, of(kQkvW), D);
    product(rows, D, 3 * D, {d_qkv.data(), 3 * D}, {w.qkv.weight.data(), D}, {d_norm.data(), D});
    add_standardize_backward(d_norm.data(), norm1.data(), inverse1.data(), rows, D, d_mid.data());
  }
};

// ---- A batch ---------------------------------------------------------------------------------

// Sequences in (B, T, J, D): over the joints of a frame, or over the frames of a joint.
struct Batch {
  long clips, frames, joints, D;
  bool over_frames;
  long sequences() const { return clips * (over_frames ? joints : frames); }
  long length() const { return over_frames ? frames : joints; }
  long clip(long sequence) const { return sequence / (over_frames ? joints : frames); }
  long offset(long sequence, long token) const {
    if (!over_frames) return (sequence * joints + token) * D;
    return ((clip(sequence) * frames + token) * joints + sequence % joints) * D;
  }
  template <typename Copy>
  void rows(long first, long some, const Copy& copy) const {
    long row = 0;
    for (long s = first; s < first + some; ++s) {
      for (long i = 0; i < length(); ++i, ++row) copy(row * D, offset(s, i));
    }
  }
  void gather(const float* from, long first, long some, float* to) const {
    rows(first, some, [&](long in, long out) { std::memcpy(to + in, from + out, D * 4); });
  }
  void scatter(const float* from, long first, long some, float* to) const {
    rows(first, some, [&](long in, long out) { std::memcpy(to + out, from + in, D * 4); });
  }
};

// Call work(thread, tile, first sequence, sequences, biases) for all sequences, with threads.
template <typename Work>
void for_tiles(const Batch& batch, const Sizes& n, const uint8_t* valid, long threads,
               bool backward, const Work& work) {
  const long P = n.padded(), per_tile = std::max(1L, kTileRows / n.L);
  const long tiles = (batch.sequences() + per_tile - 1) / per_tile;
  Floats bias(batch.clips * P, kHidden);  // of the logits of each clip
  for (long b = 0; b < batch.clips; ++b) {
    for (long i = 0; i < n.L; ++i) bias[b * P + i] = !valid || valid[b * n.L + i] ? 0 : kHidden;
  }
  threads = std::min(threads, tiles);
  const auto run = [&](long thread) {
    Tile tile(per_tile * n.L, n, backward);
    std::vector<const float*> biases(per_tile);
    for (long i = tiles * thread / threads; i < tiles * (thread + 1) / threads; ++i) {
      const long first = i * per_tile, some = std::min(per_tile, batch.sequences() - first);
      for (long s = 0; s < some; ++s) biases[s] = bias.data() + batch.clip(first + s) * P;
      work(thread, tile, first, some, biases.data());
    }
  };
  std::vector<std::thread> others;
  for (long thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
  run(0);
  for (auto& other : others) other.join();
}

}  // namespace

extern "C" {

int simd_width() { return kSimdWidth; }

// Whether products in bf16 are supported.
int has_bf16() { return kHasPairs; }

// x, y: (B, T, J, D). parameters: in the order of the enum. valid: (B, T), only over frames, or
// null. sizes: B, T, J, D, H, F, and whether products are in bf16.
void forward(const long* sizes, int over_frames, const float* x, const float* const* parameters,
             const uint8_t* valid, long threads, float* y) {
  const Batch batch{sizes[0], sizes[1], sizes[2], sizes[3], over_frames != 0};
  const Sizes n{batch.length(), sizes[3], sizes[4], sizes[5], kHasPairs && sizes[6]};
  const Weights w(parameters, n);
  for_tiles(batch, n, valid, threads, false,
            [&](long, Tile& tile, long first, long some, const float* const* biases) {
              batch.gather(x, first, some, tile.x.data());
              tile.forward(some * n.L, w, biases, false);
              tile.finish(some * n.L, w, tile.x.data());  // the input is no longer needed
              batch.scatter(tile.x.data(), first, some, y);
            });
}

// d_y, d_x: (B, T, J, D). d_parameters: all gradients, concatenated.
void backward(const long* sizes, int over_frames, const float* x, const float* const* parameters,
              const uint8_t* valid, long threads, const float* d_y, float* d_x,
              float* d_parameters) {
  const Batch batch{sizes[0], sizes[1], sizes[2], sizes[3], over_frames != 0};
  const Sizes n{batch.length(), sizes[3], sizes[4], sizes[5], kHasPairs && sizes[6]};
  const Weights w(parameters, n);
  const long total = n.offset(kParameters);
  std::vector<Floats> sums(threads, Floats(total));
  for_tiles(batch, n, valid, threads, true,
            [&](long thread, Tile& tile, long first, long some, const float* const* biases) {
              batch.gather(x, first, some, tile.x.data());
              tile.forward(some * n.L, w, biases, true);
              batch.gather(d_y, first, some, tile.x.data());  // the input is no longer needed
              tile.backward(some * n.L, w, tile.x.data(), sums[thread].data());
              batch.scatter(tile.d_mid.data(), first, some, d_x);
            });
  std::fill(d_parameters, d_parameters + total, 0.f);
  for (const Floats& sum : sums) {
    for (long i = 0; i < total; ++i) d_parameters[i] += sum[i];
  }
  const auto g = [&](int parameter) { return d_parameters + n.offset(parameter); };
  unfold(parameters[kNorm1W], parameters[kNorm1B], parameters[kQkvW], 3 * n.D, n.D, g(kQkvB),
         g(kQkvW), g(kNorm1W), g(kNorm1B));
  unfold(parameters[kNorm2W], parameters[kNorm2B], parameters[kFc1W], n.F, n.D, g(kFc1B), g(kFc1W),
         g(kNorm2W), g(kNorm2B));
}

}  // extern "C"
