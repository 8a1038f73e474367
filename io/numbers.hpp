#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orrery::io {

/// The shortest decimal that reads back as exactly this number: "0.1", "25", "1e-07", "nan".
std::string shortest(double number);

/// The number that the whole text spells, in the C locale; none where it spells none or one that is
/// out of range.
std::optional<double> parse_number(std::string_view text);

}  // namespace orrery::io
