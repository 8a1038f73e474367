#pragma once

#include "kernels/view.hpp"

namespace orrery {

/// All pairs of blocks, each block with itself among them, dealt out into rounds such that in every
/// round each block is in exactly one pair. What the pairs of a round add to their two blocks they
/// can then add at the same time, and each block's sums run in the order of the rounds.
///
/// With an odd number of blocks on a circle, round r pairs r + i with r - i for i = 0, 1, ... up to
/// (count - 1) / 2: two blocks meet in the round that lies midway between them, and r meets itself.
struct BlockRounds {
  int count;  // of blocks, and of rounds; odd

  /// For so many blocks; an even number gets one more, which is empty.
  ORRERY_HOST_DEVICE explicit BlockRounds(int blocks) : count(blocks | 1) {}

  struct Pair {
    int low, high;  // low <= high
  };

  ORRERY_HOST_DEVICE int pairs_a_round() const { return (count + 1) / 2; }

  ORRERY_HOST_DEVICE Pair pair(int round, int i) const {
    const int ahead = (round + i) % count, behind = (round - i + count) % count;
    return ahead < behind ? Pair{ahead, behind} : Pair{behind, ahead};
  }

  ORRERY_HOST_DEVICE int partner(int round, int block) const {
    return (2 * round - block + count) % count;
  }

  /// Which pair of the round the block is in.
  ORRERY_HOST_DEVICE int place(int round, int block) const {
    const int ahead = (block - round + count) % count;
    return ahead < count - ahead ? ahead : count - ahead;
  }
};

}  // namespace orrery
