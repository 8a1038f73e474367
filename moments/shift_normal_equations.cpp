#include "moments/shift_normal_equations.hpp"

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

namespace orrery {
namespace {

/// A sequence on the circle, written out twice, so that sums and differences of two indices need
/// no remainder: x(i + j) = from_start()[i + j], x(i - j) = from_middle()[i - j].
class Periodic {
 public:
  Periodic(const double* x, Index n) : n_(n), numbers_(2 * n) {
    for (Index i = 0; i < n; ++i) numbers_[i] = numbers_[i + n] = x[i];
  }
  explicit Periodic(const std::vector<double>& x) : Periodic(x.data(), std::ssize(x)) {}

  Index length() const { return n_; }
  const double* from_start() const { return numbers_.data(); }
  const double* from_middle() const { return numbers_.data() + n_; }
  double operator[](Index i) const { return numbers_[i]; }

 private:
  Index n_;
  std::vector<double> numbers_;
};

/// sum_s x(s) y(s + a)
Periodic correlation(const Periodic& x, const Periodic& y) {
  std::vector<double> sums(x.length(), 0.0);
  for (Index s = 0; s < x.length(); ++s)
    for (Index a = 0; a < x.length(); ++a) sums[a] += x[s] * y.from_start()[s + a];
  return Periodic(sums);
}

/// The unknowns and what is derived from them.
struct Point {
  Periodic v, p;

  Point(View<const double, 1> unknowns, Index n) : v(unknowns.data, n), p(unknowns.data + n, n) {}
};

/// to = diag(scale) from
void scale_rows(const Periodic& scale, View<const double, 2> from, View<double, 2> to) {
  for (Index i = 0; i < from.extent(0); ++i)
    for (Index j = 0; j < from.extent(1); ++j) to(i, j) = scale[i] * from(i, j);
}

/// to(i,j) = x(i + j)
void fill_sums(const Periodic& x, View<double, 2> to) {
  for (Index i = 0; i < to.extent(0); ++i)
    for (Index j = 0; j < to.extent(1); ++j) to(i, j) = x.from_start()[i + j];
}

/// c = op(a) b of n x n matrices
void multiply(Transpose transpose, const Tensor<double, 2>& a, const Tensor<double, 2>& b,
              Tensor<double, 2>& c) {
  const Index n = c.extent(0);
  blas::gemm<double>(transpose, Transpose::no, n, n, n, 1.0, a.data(), n, b.data(), n, 0.0,
                     c.data(), n);
}

/// Half the gradient of x^T P x, P circulant: P x. Returns x^T P x.
double add_prior(const std::vector<double>& first_row, const std::vector<double>& x,
                 double* gradient) {
  const Periodic row(first_row);
  double value = 0;
  for (Index i = 0; i < std::ssize(x); ++i) {
    double along = 0;
    for (Index j = 0; j < std::ssize(x); ++j) along += row.from_middle()[i - j] * x[j];
    value += x[i] * along;
    if (gradient) gradient[i] += along;
  }
  return value;
}

/// The priors' part of f, and of the gradient where one is asked for.
double add_priors(const ShiftObjective& objective, const Point& at, double* gradient) {
  const Index n = objective.length();
  std::vector<double> signal(at.v.from_start(), at.v.from_start() + n);
  std::vector<double> excess(n);
  double sum_residual = -1;
  for (Index s = 0; s < n; ++s) {
    excess[s] = at.p[s] - 1.0 / static_cast<double>(n);
    sum_residual += at.p[s];
  }
  if (gradient)
    for (Index s = 0; s < n; ++s) gradient[n + s] += objective.sum_weight * sum_residual;
  return add_prior(objective.signal_prior, signal, gradient) +
         add_prior(objective.density_prior, excess, gradient ? gradient + n : nullptr) +
         objective.sum_weight * sum_residual * sum_residual;
}

/// Leaves the residuals of both moments in the scratch; returns the moments' part of f.
double compare_moments(const ShiftObjective& objective, const Point& at, ShiftScratch& scratch) {
  const Index n = objective.length();
  for (Index s = 0; s < n; ++s)
    for (Index i = 0; i < n; ++i) scratch.shifted(s, i) = at.v.from_middle()[i - s];
  scale_rows(at.p, scratch.shifted, scratch.scaled);
  multiply(Transpose::yes, scratch.shifted, scratch.scaled, scratch.residual);

  double first = 0, second = 0;
  for (Index i = 0; i < n; ++i) {
    double& r = scratch.first_residual[i];
    r = -objective.first(i);
    for (Index s = 0; s < n; ++s) r += scratch.scaled(s, i);
    first += r * r;
    for (Index j = 0; j < n; ++j) {
      double& d = scratch.residual(i, j);
      d -= objective.second(i, j);
      second += d * d;
    }
  }
  return objective.first_weight * first + objective.second_weight * second;
}

/// The moments' part of the gradient, from the residuals in the scratch:
///   w1 sum_i r(i) p(i - k) + 2 w2 sum_s p(s) (D v_s)(k + s)   along v_k,
///   w1 sum_i r(i) v(i - s) +   w2 v_s . D v_s                 along p_s,
/// v_s being v shifted by s, and D symmetric.
void form_gradient(const ShiftObjective& objective, const Point& at, ShiftScratch& scratch,
                   double* gradient) {
  const Index n = objective.length();
  const double w1 = objective.first_weight, w2 = objective.second_weight;
  const Periodic r(scratch.first_residual);
  const Periodic along_v = correlation(at.p, r), along_p = correlation(at.v, r);
  for (Index i = 0; i < n; ++i) {
    gradient[i] = w1 * along_v[i];
    gradient[n + i] = w1 * along_p[i];
  }
  multiply(Transpose::no, scratch.shifted, scratch.residual, scratch.product);  // rows D v_s
  for (Index s = 0; s < n; ++s) {
    const double weight = 2 * w2 * at.p[s];
    for (Index k = 0; k < n - s; ++k) gradient[k] += weight * scratch.product(s, k + s);
    for (Index k = n - s; k < n; ++k) gradient[k] += weight * scratch.product(s, k + s - n);
    double along = 0;
    for (Index i = 0; i < n; ++i) along += scratch.shifted(s, i) * scratch.product(s, i);
    gradient[n + s] += w2 * along;
  }
}

void form_matrix(const ShiftObjective& objective, const Point& at, ShiftScratch& scratch,
                 View<double, 2> matrix) {
  const Index n = objective.length();
  const double w1 = objective.first_weight, w2 = objective.second_weight;
  const Periodic autocorrelation_v = correlation(at.v, at.v);
  const Periodic autocorrelation_p = correlation(at.p, at.p);
  const Periodic cross = correlation(at.p, at.v);
  const Periodic prior_v(objective.signal_prior), prior_p(objective.density_prior);

  // What depends on the difference of the indices alone.
  std::vector<double> v_v(n), p_p(n);
  for (Index a = 0; a < n; ++a) {
    const double rv = autocorrelation_v[a], rp = autocorrelation_p[a];
    v_v[a] = w1 * rp + 2 * w2 * rp * rv + prior_v[a];
    p_p[a] = w1 * rv + w2 * rv * rv + prior_p[a] + objective.sum_weight;
  }
  const Periodic circulant_v(v_v), circulant_p(p_p);

  // sum_c v(k - c) R_p(c) v(l + c)
  fill_sums(at.v, scratch.sums);
  scale_rows(autocorrelation_p, scratch.shifted, scratch.scaled);
  multiply(Transpose::yes, scratch.scaled, scratch.sums, scratch.product);
  for (Index k = 0; k < n; ++k)
    for (Index l = k; l < n; ++l)
      matrix(k, l) = circulant_v.from_start()[l - k] + 2 * w2 * scratch.product(k, l);

  // sum_a v(k + a) R_v(a) p(s + a)
  scale_rows(autocorrelation_v, scratch.sums, scratch.scaled);
  fill_sums(at.p, scratch.sums);
  multiply(Transpose::yes, scratch.scaled, scratch.sums, scratch.product);
  for (Index k = 0; k < n; ++k)
    for (Index s = 0; s < n; ++s)
      matrix(k, n + s) = w1 * cross.from_middle()[k - s] + 2 * w2 * scratch.product(k, s);

  for (Index s = 0; s < n; ++s)
    for (Index t = s; t < n; ++t) matrix(n + s, n + t) = circulant_p.from_start()[t - s];
}

void check(const char* operation, const ShiftObjective& objective, View<const double, 1> unknowns) {
  const Index n = objective.length();
  require_shape(operation, "C", objective.second.view(), {n, n});
  require_shape(operation, "the unknowns", unknowns, {2 * n});
  require(std::ssize(objective.signal_prior) == n && std::ssize(objective.density_prior) == n,
          operation, "a prior has another length than the signal");
}

}  // namespace

ShiftScratch::ShiftScratch(Index n)
    : shifted(Context::cpu(1), n, n),
      scaled(Context::cpu(1), n, n),
      sums(Context::cpu(1), n, n),
      residual(Context::cpu(1), n, n),
      product(Context::cpu(1), n, n),
      first_residual(n) {}

double shift_objective(const ShiftObjective& objective, View<const double, 1> unknowns,
                       ShiftScratch& scratch) {
  check("shift_objective", objective, unknowns);
  const Point at(unknowns, objective.length());
  return compare_moments(objective, at, scratch) + add_priors(objective, at, nullptr);
}

double shift_normal_equations(const ShiftObjective& objective, View<const double, 1> unknowns,
                              ShiftScratch& scratch, View<double, 2> matrix,
                              View<double, 1> gradient) {
  const Index n = objective.length();
  check("shift_normal_equations", objective, unknowns);
  require_shape("shift_normal_equations", "the matrix", matrix, {2 * n, 2 * n});
  require_shape("shift_normal_equations", "the gradient", gradient, {2 * n});
  const Point at(unknowns, n);
  const double moments = compare_moments(objective, at, scratch);
  form_gradient(objective, at, scratch, gradient.data);
  form_matrix(objective, at, scratch, matrix);
  return moments + add_priors(objective, at, gradient.data);
}

}  // namespace orrery
