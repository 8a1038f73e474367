#pragma once

// What the twins of kernels/moment_residual.hpp have in common.

#include "kernels/block_rounds.hpp"
#include "kernels/moment_residual.hpp"

namespace orrery {

/// What moment_residual is given and asked for.
template <class T>
struct MomentResidualProblem {
  View<const T, 2> slices;
  View<const T, 1> weights, first;
  View<const T, 2> second;     // without data where the target is given by factors,
  FactoredMatrix<T> factored;  // and these where it is a matrix
  View<T, 1> first_residual;
  View<T, 2> products;
  View<double, 1> squared_norms;
};

/// A round's task: the tile where blocks `low` and `high` meet, which lies at `place`, and a part
/// of the work with it.
struct RoundTask {
  int round, place;
  BlockRounds::Pair pair;
  int part;
};

/// Goes through the rounds with all threads of a parallel region, which all call this. Each round
/// forms its tiles, and then multiplies them into the products: every block of columns takes part
/// in one of them, so that no two tasks write to the same place. Calls form(task) for each part of
/// a tile, and multiply(task, from, to) for each part of the slices: their columns in block `from`
/// times the tile, or times its mirror image where from > to, add to the products in block `to`.
template <class Form, class Multiply>
void for_each_round(const BlockRounds& rounds, int tile_parts, int slice_parts, const Form& form,
                    const Multiply& multiply) {
  const int pairs = rounds.pairs_a_round();
  for (int round = 0; round < rounds.count; ++round) {
#pragma omp for schedule(dynamic)
    for (int i = 0; i < pairs * tile_parts; ++i) {
      const int place = i / tile_parts;
      form(RoundTask{round, place, rounds.pair(round, place), i % tile_parts});
    }
#pragma omp for schedule(dynamic)
    for (int i = 0; i < pairs * 2 * slice_parts; ++i) {
      const int place = i / (2 * slice_parts);
      const auto pair = rounds.pair(round, place);
      const RoundTask task{round, place, pair, i % slice_parts};
      if (i / slice_parts % 2 == 0)
        multiply(task, pair.low, pair.high);
      else if (pair.low < pair.high)
        multiply(task, pair.high, pair.low);
    }
  }
}

}  // namespace orrery
