#pragma once

#include <string>
#include <vector>

#include "kernels/tensor.hpp"

namespace orrery {

/// One flat block of weights beside one flat block of gradients, with named parts. Optimisers,
/// checkpoints and reductions over processes see only the blocks.
/// Convention, stated once: parameter gradients are added into (+=), so call zero_gradients before
/// a backward pass; activation gradients are overwritten (=).
template <class T>
class Parameters {
 public:
  struct Part {
    std::string name;
    Index offset = 0;
    Index count = 0;
  };

  explicit Parameters(const Context& ctx) : ctx_(ctx) {}

  /// Adds a part and returns its index. Parts can be added until `allocate` is called, each under
  /// a name of its own (std::invalid_argument otherwise).
  Index add(const std::string& name, Index count);
  /// Takes the memory: weights and gradients zero.
  void allocate();

  View<T, 1> values() { return values_; }
  View<const T, 1> values() const { return values_; }
  View<T, 1> gradients() { return gradients_; }
  View<const T, 1> gradients() const { return gradients_; }

  /// One part of the block. Throws std::invalid_argument when there is no such part.
  View<T, 1> values(Index part) { return slice(values(), part); }
  View<const T, 1> values(Index part) const { return slice(values(), part); }
  View<T, 1> gradients(Index part) { return slice(gradients(), part); }
  View<const T, 1> gradients(Index part) const { return slice(gradients(), part); }

  const std::vector<Part>& parts() const { return parts_; }
  Index count() const { return count_; }
  const Context& context() const { return ctx_; }
  void zero_gradients() { set_zero<T, 1>(ctx_, gradients_); }

 private:
  const Part& checked(Index part) const;
  template <class U>
  View<U, 1> slice(View<U, 1> block, Index part) const {
    const Part& which = checked(part);
    return block.rows(which.offset, which.count);
  }

  Context ctx_;
  std::vector<Part> parts_;
  Index count_ = 0;
  Tensor<T, 1> values_, gradients_;
};

}  // namespace orrery
