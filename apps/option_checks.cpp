#include "apps/option_checks.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/check.hpp"

namespace orrery {

void require_finite(std::initializer_list<std::pair<const char*, double>> options) {
  for (const auto& [name, value] : options)
    if (!std::isfinite(value))
      throw InputError(std::string(name) + ": is not a finite number; give one");
}

bool on_command_line(int argc, const char* const* argv, std::string_view name) {
  return std::any_of(argv + 1, argv + argc, [&](std::string_view word) {
    return word == name || (word.starts_with(name) && word[name.size()] == '=');
  });
}

}  // namespace orrery
