#include "apps/interruption.hpp"

#include <csignal>

namespace orrery {

namespace {

volatile std::sig_atomic_t interrupted = 0;
extern "C" void remember(int) { interrupted = 1; }

}  // namespace

Interruption::Interruption() {
  interrupted = 0;
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

Interruption::~Interruption() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

Interruption::operator bool() const { return interrupted != 0; }

}  // namespace orrery
