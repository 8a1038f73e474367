#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/files.hpp"

namespace orrery::io {

/// What stands before the numbers of a NumPy array file.
struct NpyHeader {
  std::string type;  // 'descr' as Python writes it: "'<f4'", or a list of fields in brackets
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::uint64_t data_offset = 0;
};

/// Whether the file starts like a NumPy array.
bool is_npy(const RandomAccessFile& file);
/// Throws InputError naming the file and what cannot be read.
NpyHeader read_npy_header(const RandomAccessFile& file);

}  // namespace orrery::io
