#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/check.hpp"
#include "kernels/context.hpp"
#include "kernels/view.hpp"

namespace orrery {

namespace detail {
std::shared_ptr<void> allocate(const Context&, std::size_t bytes);
void fill_zero(const Context&, void* memory, std::size_t bytes);
void copy_within(const Context&, void* to, const void* from, std::size_t bytes);
void copy_upload(const Context&, void* to, const void* from, std::size_t bytes);
void copy_download(const Context&, void* to, const void* from, std::size_t bytes);
}  // namespace detail

/// Memory for numbers on one backend, released with its owner. Moves, never copies implicitly.
/// New tensors hold undefined numbers; `zeros` holds zeros. Host memory is 64-byte aligned.
template <class T, int Rank>
class Tensor {
 public:
  Tensor() = default;

  template <class... Extents>
  requires(sizeof...(Extents) == Rank) explicit Tensor(const Context& ctx, Extents... sizes)
      : view_(nullptr, sizes...) {
    memory_ = detail::allocate(ctx, sizeof(T) * view_.size());
    view_.data = static_cast<T*>(memory_.get());
  }

  template <class... Extents>
  static Tensor zeros(const Context& ctx, Extents... sizes) {
    Tensor tensor(ctx, sizes...);
    detail::fill_zero(ctx, tensor.data(), sizeof(T) * tensor.size());
    return tensor;
  }

  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;

  View<T, Rank> view() { return view_; }
  View<const T, Rank> view() const { return view_; }
  operator View<T, Rank>() { return view_; }
  operator View<const T, Rank>() const { return view_; }

  T* data() { return view_.data; }
  const T* data() const { return view_.data; }
  Index size() const { return memory_ ? view_.size() : 0; }
  Index extent(int dimension) const { return view_.extent(dimension); }

  /// Element access; host tensors only.
  template <class... Indices>
  T& operator()(Indices... indices) {
    return view_(indices...);
  }
  template <class... Indices>
  const T& operator()(Indices... indices) const {
    return view_(indices...);
  }

 private:
  std::shared_ptr<void> memory_;
  View<T, Rank> view_;
};

/// An uninitialised tensor on ctx with the extents of `like`.
template <class T, class U, int Rank>
Tensor<T, Rank> tensor_like(const Context& ctx, View<U, Rank> like) {
  return [&]<std::size_t... D>(std::index_sequence<D...>) {
    return Tensor<T, Rank>(ctx, like.extents[D]...);
  }
  (std::make_index_sequence<Rank>{});
}

/// Copies numbers that both live on ctx's backend. Throws std::invalid_argument unless the extents
/// have the same product.
template <class T, int Rank>
void copy(const Context& ctx, View<const T, Rank> from, View<T, Rank> to) {
  require(from.size() == to.size(), "copy", "there must be room for as many numbers as there are");
  detail::copy_within(ctx, to.data, from.data, sizeof(T) * from.size());
}

/// Sets numbers on ctx's backend to zero.
template <class T, int Rank>
void set_zero(const Context& ctx, View<T, Rank> numbers) {
  detail::fill_zero(ctx, numbers.data, sizeof(T) * numbers.size());
}

/// Host numbers -> new tensor on ctx's backend.
template <class T, int Rank>
Tensor<std::remove_const_t<T>, Rank> upload(const Context& ctx, View<T, Rank> host) {
  auto tensor = tensor_like<std::remove_const_t<T>>(ctx, host);
  detail::copy_upload(ctx, tensor.data(), host.data, sizeof(T) * host.size());
  return tensor;
}
template <class T, int Rank>
Tensor<T, Rank> upload(const Context& ctx, const Tensor<T, Rank>& host) {
  return upload(ctx, host.view());
}

/// Host numbers of any arithmetic type, converted to T -> new tensor on ctx's backend.
template <class T, class U>
Tensor<T, 1> upload_as(const Context& ctx, const std::vector<U>& numbers) {
  Tensor<T, 1> host(Context::cpu(1), static_cast<Index>(numbers.size()));
  std::transform(numbers.begin(), numbers.end(), host.data(),
                 [](U number) { return static_cast<T>(number); });
  return upload(ctx, host);
}

/// Numbers on ctx's backend -> new host tensor; waits for the work queued before it.
template <class T, int Rank>
Tensor<std::remove_const_t<T>, Rank> download(const Context& ctx, View<T, Rank> numbers) {
  auto host = tensor_like<std::remove_const_t<T>>(Context::cpu(1), numbers);
  detail::copy_download(ctx, host.data(), numbers.data, sizeof(T) * numbers.size());
  return host;
}
template <class T, int Rank>
Tensor<T, Rank> download(const Context& ctx, const Tensor<T, Rank>& tensor) {
  return download(ctx, tensor.view());
}

}  // namespace orrery
