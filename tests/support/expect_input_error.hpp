#pragma once

#include <gmock/gmock.h>

#include <string>

#include "kernels/check.hpp"

namespace orrery::test {

/// The message of the InputError that `action` throws; a failure, and "", where it throws none.
inline std::string input_error_of(auto action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no InputError was thrown";
  return "";
}

}  // namespace orrery::test
