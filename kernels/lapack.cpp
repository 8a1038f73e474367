#include "kernels/lapack.hpp"

#include <algorithm>
#include <climits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/gemm.hpp"

// LAPACK's matrices are column-major, so that its columns are our rows. Numbers are passed by
// address, as Fortran does; the lengths of its letters follow all other arguments.

namespace orrery {

namespace {

using SymmetricEigenvectors = void(const char* vectors, const char* triangle, const int* n,
                                   double* a, const int* stride, double* values, double* work,
                                   const int* work_length, int* whole_work,
                                   const int* whole_work_length, int* info, std::size_t,
                                   std::size_t);
template <class T>
using Factor = void(const int* m, const int* n, T* a, const int* stride, T* reflections, T* work,
                    const int* work_length, int* info);
template <class T>
using FormBasis = void(const int* m, const int* n, const int* k, T* a, const int* stride,
                       const T* reflections, T* work, const int* work_length, int* info);

template <class Function>
Function* lapack(const char* name) {
  if (void* found = blas::symbol(name)) return reinterpret_cast<Function*>(found);
  throw std::runtime_error(std::string("the BLAS library has no LAPACK (") + name +
                           "); install OpenBLAS (Debian: libopenblas0)");
}

void require_success(const char* operation, int info) {
  if (info != 0)
    throw std::runtime_error(std::string(operation) + ": LAPACK failed with code " +
                             std::to_string(info) + "; are all numbers finite?");
}

int counted(const char* operation, Index count) {
  require(count <= INT_MAX, operation, "LAPACK counts with 32 bits, and a dimension is longer");
  return static_cast<int>(count);
}

}  // namespace

void symmetric_eigenvectors(View<double, 2> a, View<double, 1> values) {
  const char* operation = "symmetric_eigenvectors";
  require_shape(operation, "a", a, {values.size(), values.size()});
  const int n = counted(operation, values.size());
  if (n == 0) return;
  auto* const solve = lapack<SymmetricEigenvectors>("dsyevd_");
  int info = 0, whole_needed = 0;
  double needed = 0;
  const int ask = -1;
  solve("V", "U", &n, a.data, &n, values.data, &needed, &ask, &whole_needed, &ask, &info, 1, 1);
  require_success(operation, info);
  const int length = static_cast<int>(needed);
  std::vector<double> work(length);
  std::vector<int> whole_work(whole_needed);
  solve("V", "U", &n, a.data, &n, values.data, work.data(), &length, whole_work.data(),
        &whole_needed, &info, 1, 1);
  require_success(operation, info);
}

template <class T>
void orthonormalise_rows(View<T, 2> rows) {
  const char* operation = "orthonormalise_rows";
  require(rows.extent(0) <= rows.extent(1), operation, "there are more rows than columns");
  const int count = counted(operation, rows.extent(0)), length = counted(operation, rows.extent(1));
  if (count == 0) return;
  constexpr bool single = std::is_same_v<T, float>;
  auto* const factor = lapack<Factor<T>>(single ? "sgeqrf_" : "dgeqrf_");
  auto* const form_basis = lapack<FormBasis<T>>(single ? "sorgqr_" : "dorgqr_");
  constexpr int block = 64;
  const int work_length = count * block;
  std::vector<T> reflections(count), work(work_length);
  int info = 0;
  factor(&length, &count, rows.data, &length, reflections.data(), work.data(), &work_length, &info);
  require_success(operation, info);
  form_basis(&length, &count, &count, rows.data, &length, reflections.data(), work.data(),
             &work_length, &info);
  require_success(operation, info);
}

template void orthonormalise_rows<float>(View<float, 2>);
template void orthonormalise_rows<double>(View<double, 2>);

}  // namespace orrery
