#include "nn/parameters.hpp"

#include "kernels/check.hpp"

namespace orrery {

template <class T>
Index Parameters<T>::add(const std::string& name, Index count) {
  require(values_.size() == 0, "Parameters::add", "the block has been allocated already");
  require(count >= 0, "Parameters::add", "a part cannot have a negative count");
  parts_.push_back({name, count_, count});
  count_ += count;
  return static_cast<Index>(parts_.size()) - 1;
}

template <class T>
void Parameters<T>::allocate() {
  values_ = Tensor<T, 1>::zeros(ctx_, count_);
  gradients_ = Tensor<T, 1>::zeros(ctx_, count_);
}

template class Parameters<float>;
template class Parameters<double>;

}  // namespace orrery
