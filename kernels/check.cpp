#include "kernels/check.hpp"

namespace orrery {

void require(bool holds, const char* operation, const char* problem) {
  if (!holds) throw std::invalid_argument(std::string(operation) + ": " + problem);
}

namespace detail {

static std::string shape_text(const Index* extents, int rank) {
  std::string text = "(";
  for (int d = 0; d < rank; ++d) text += (d ? ", " : "") + std::to_string(extents[d]);
  return text + ")";
}

void fail_shape(const char* operation, const char* operand, const Index* found,
                const Index* expected, int rank) {
  throw std::invalid_argument(std::string(operation) + ": " + operand + " has shape " +
                              shape_text(found, rank) + ", expected " + shape_text(expected, rank));
}

}  // namespace detail
}  // namespace orrery
