#pragma once

namespace orrery {

/// While one lives, Ctrl-C and SIGTERM do not end the program: they are remembered, so that a loop
/// can stop between two steps and leave its checkpoint. One at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;

  /// Whether one has come.
  explicit operator bool() const;
};

}  // namespace orrery
