#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

namespace orrery {

/// Throws InputError naming the first of these options that is not a finite number: NaN is within
/// every range of the command line.
void require_finite(std::initializer_list<std::pair<const char*, double>> options);

/// Whether an option stands on the command line itself, as --name VALUE or --name=VALUE: a file of
/// options names all of them, asked for or not.
bool on_command_line(int argc, const char* const* argv, std::string_view name);

}  // namespace orrery
