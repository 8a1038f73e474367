#include "io/hdf5_blocks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "io/files.hpp"
#include "io/hdf5_handle.hpp"
#include "io/hdf5_layout.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Names = std::vector<std::string>;

/// A file with the data set, whose numbers are still to come; where in the file they belong.
haddr_t write_frame(const std::filesystem::path& path, const std::string& name,
                    const std::vector<std::uint64_t>& extents) {
  std::uint64_t bytes = sizeof(float);
  for (const auto extent : extents) bytes *= extent;
  require_room(path, bytes);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "H5Pset_libver_bounds");
  const Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access), H5Fclose,
                    "H5Fcreate");
  return lay_out(file, name, extents);
}

bool is_numeric_set(hid_t file, const std::string& name) {
  if (H5Lexists(file, name.c_str(), H5P_DEFAULT) <= 0) return false;
  const Handle object(H5Oopen(file, name.c_str(), H5P_DEFAULT), H5Oclose, "H5Oopen");
  if (H5Iget_type(object) != H5I_DATASET) return false;
  const Handle type(H5Dget_type(object), H5Tclose, "H5Dget_type");
  const auto kind = H5Tget_class(type);
  return kind == H5T_FLOAT || kind == H5T_INTEGER;
}

/// The data sets of numbers in the root group.
Names numeric_sets(hid_t file) {
  Names links, sets;
  const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* into) -> herr_t {
    if (link->type == H5L_TYPE_HARD) static_cast<Names*>(into)->emplace_back(name);
    return 0;
  };
  check(H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &links), "H5Literate");
  std::copy_if(links.begin(), links.end(), std::back_inserter(sets),
               [&](const auto& name) { return is_numeric_set(file, name); });
  return sets;
}

/// The data set to read, or a sentence.
std::string chosen_set(hid_t file, const std::string& path, const std::string& dataset,
                       const std::string& usual_name) {
  const Names sets = numeric_sets(file);
  const auto list = sets.empty() ? "none" : fmt::format("{}", fmt::join(sets, ", "));
  if (!dataset.empty()) {
    if (is_numeric_set(file, dataset)) return dataset;
    throw InputError(fmt::format(
        "{}: has no data set of numbers \"{}\" (its root has: {}); name another with --dataset",
        path, dataset, list));
  }
  if (std::find(sets.begin(), sets.end(), usual_name) != sets.end()) return usual_name;
  if (sets.size() == 1) return sets[0];
  throw InputError(fmt::format(
      "{}: has no data set \"{}\" (its root has: {}); name the one to read with --dataset", path,
      usual_name, list));
}

Handle open_to_read(const std::filesystem::path& path) {
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  // Network file systems often have no locks, and reading needs none.
  check(H5Pset_file_locking(access, false, true), "H5Pset_file_locking");
  return Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose, "H5Fopen");
}

class Hdf5Reader : public ObservationReader {
 public:
  Hdf5Reader(const std::filesystem::path& path, const std::string& dataset,
             const std::string& usual_name)
      : ObservationReader(path),
        file_(open_to_read(path)),
        set_(H5Dopen2(file_, chosen_set(file_, path.string(), dataset, usual_name).c_str(),
                      H5P_DEFAULT),
             H5Dclose, "H5Dopen"),
        space_(H5Dget_space(set_), H5Sclose, "H5Dget_space") {
    extents_.resize(check(H5Sget_simple_extent_ndims(space_), "H5Sget_ndims"));
    check(H5Sget_simple_extent_dims(space_, extents_.data(), nullptr), "H5Sget_dims");
    if (extents_.size() != 2 && extents_.size() != 3)
      throw InputError(
          fmt::format("{}: the data set has {} dimensions, but should have 2 (observations, "
                      "length) or 3 (instances, observations, length)",
                      path.string(), extents_.size()));
    if (std::find(extents_.begin(), extents_.end(), 0) != extents_.end())
      throw InputError(path.string() + ": the data set holds no numbers: an extent of it is 0");
    length_ = static_cast<Index>(extents_.back());
    instances_ = extents_.size() == 3 ? static_cast<Index>(extents_[0]) : 1;
  }

 protected:
  Index read_rows(Index instance, View<double, 2> rows) override {
    const auto observations = static_cast<Index>(extents_[extents_.size() - 2]);
    const Index count = std::min(rows.extent(0), observations - read_);
    if (count == 0) {
      read_ = 0;
      return 0;
    }
    const auto first = static_cast<hsize_t>(read_), some = static_cast<hsize_t>(count);
    std::vector<hsize_t> start = {first, 0}, extent = {some, extents_.back()};
    if (extents_.size() == 3) {
      start.insert(start.begin(), static_cast<hsize_t>(instance));
      extent.insert(extent.begin(), 1);
    }
    try {
      const Handle memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr),
                          H5Sclose, "H5Screate");
      check(H5Sselect_hyperslab(space_, H5S_SELECT_SET, start.data(), nullptr, extent.data(),
                                nullptr),
            "H5Sselect_hyperslab");
      check(H5Dread(set_, H5T_NATIVE_DOUBLE, memory, space_, H5P_DEFAULT, rows.data), "H5Dread");
    } catch (const std::runtime_error& error) {
      throw InputError(
          fmt::format("{}: observation {} could not be read ({}): the file is truncated or "
                      "damaged; fetch it again",
                      path_.string(), read_ + 1, error.what()));
    }
    read_ += count;
    return count;
  }

 private:
  Handle file_, set_, space_;
  std::vector<hsize_t> extents_;
  Index read_ = 0;  // of the current instance
};

}  // namespace

void write_hdf5_blocks(const std::filesystem::path& path, const std::string& name,
                       const std::vector<std::uint64_t>& extents,
                       const std::function<void(const AppendNumbers&)>& fill) {
  silence_error_printing();
  std::uint64_t missing = 1;
  for (const auto extent : extents) missing *= extent;
  write_atomically(path, [&](const std::filesystem::path& temporary) {
    // HDF5 lays out the file and closes it before the numbers come: a full disk then meets our own
    // writing, which cleans up, and not HDF5, which doesn't.
    const haddr_t numbers_at = write_frame(temporary, name, extents);
    RawWriter file(temporary, numbers_at);
    fill([&](std::span<const float> numbers) {
      require(numbers.size() <= missing, "write_hdf5_blocks", "there are too many numbers");
      missing -= numbers.size();
      file.append(std::as_bytes(numbers));
    });
    require(missing == 0, "write_hdf5_blocks", "there are too few numbers");
  });
}

std::unique_ptr<ObservationReader> open_hdf5_observations(const std::filesystem::path& path,
                                                          const std::string& dataset,
                                                          const std::string& usual_name) {
  silence_error_printing();
  try {
    return std::make_unique<Hdf5Reader>(path, dataset, usual_name);
  } catch (const InputError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw InputError(fmt::format(
        "{}: could not be opened ({}): the file is truncated or damaged; fetch it again",
        path.string(), error.what()));
  }
}

}  // namespace orrery::io
