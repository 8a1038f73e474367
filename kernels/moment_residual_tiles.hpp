#pragma once

#include "kernels/moment_residual_problem.hpp"

namespace orrery::tiles {

/// The CPU twin of moment_residual for processors with matrix tiles (AMX): every float is cut into
/// two bfloat16 numbers, of whose four products three are taken and summed in float, see
/// kernels/sine_network_tiles.hpp. What is left out is 2^-18 of a product. To be called only where
/// tiles::available() says so (kernels/matrix_tiles.hpp), with so many bytes of scratch, on 64
/// bytes. The result does not depend on the number of threads.
void moment_residual(int threads, const MomentResidualProblem<float>& problem, void* scratch);

/// 12 J D for the slices in three arrangements, and about 4 MB a block of 800 columns for the tiles
/// of a round.
Index moment_residual_scratch_bytes(const MomentResidualProblem<float>& problem);

}  // namespace orrery::tiles
