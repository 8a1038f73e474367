#pragma once

#include "kernels/row_sums.hpp"

namespace orrery::tiles {

/// What add_row_products computes, for processors with matrix tiles (AMX):
/// `rows` (count,n), `sums` the packed triangle. Every float is cut into two bfloat16 numbers,
/// x = high + low, and three of the four products are taken and summed in float:
///   x y = high_x high_y + high_x low_y + low_x high_y.
/// What is left out is at most 2^-16 of a product, mostly less than 2^-18, and has no sign, except
/// where a number meets itself, low_x^2: on the diagonal the fourth product is taken too. To be
/// called only where tiles::available() says so (kernels/matrix_tiles.hpp), with so many bytes of
/// scratch, on 64 bytes. The result does not depend on the number of threads.
void add_row_products(int threads, const float* rows, Index count, Index n, double* sums,
                      void* scratch);

/// As many as the rows have, up to 4096 of them, in whole patches.
Index row_products_scratch_bytes(Index count, Index n);

}  // namespace orrery::tiles
