#include "nn/parameters.hpp"

#include "kernels/check.hpp"

namespace orrery {

template <class T>
Index Parameters<T>::add(const std::string& name, Index count) {
  require(values_.data() == nullptr, "Parameters::add", "the block has been allocated already");
  require(count >= 0, "Parameters::add", "a part cannot have a negative count");
  // Checkpoints find parts by name.
  for (const Part& part : parts_)
    require(part.name != name, "Parameters::add", "a part of that name exists already");
  parts_.push_back({name, count_, count});
  count_ += count;
  return static_cast<Index>(parts_.size()) - 1;
}

template <class T>
void Parameters<T>::allocate() {
  values_ = Tensor<T, 1>::zeros(ctx_, count_);
  gradients_ = Tensor<T, 1>::zeros(ctx_, count_);
}

template <class T>
const typename Parameters<T>::Part& Parameters<T>::checked(Index part) const {
  require(values_.data() != nullptr, "Parameters", "the block has not been allocated yet");
  require(part >= 0 && part < static_cast<Index>(parts_.size()), "Parameters", "no such part");
  return parts_[part];
}

template class Parameters<float>;
template class Parameters<double>;

}  // namespace orrery
