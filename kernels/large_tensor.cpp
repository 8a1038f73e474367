#include "kernels/large_tensor.hpp"

#include <sys/mman.h>

#include <cstdint>

namespace orrery::detail {

void prefer_large_pages(const Context& ctx, void* memory, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::uintptr_t page = 4096;
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const auto first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  // A wish: where it is not granted, pages are small.
  if (ctx.backend() == Backend::cpu && first < last)
    madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace orrery::detail
