#include "io/hdf5.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "io/files.hpp"
#include "io/hdf5_handle.hpp"
#include "io/hdf5_layout.hpp"
#include "kernels/check.hpp"

namespace orrery::io {

namespace {

using Extents = std::vector<std::uint64_t>;
using Names = std::vector<std::string>;

template <class T>
hid_t file_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
}
template <class T>
const char* type_name() {
  if constexpr (std::is_same_v<T, float>) return "float32";
  if constexpr (std::is_same_v<T, double>) return "float64";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int64";
  if constexpr (std::is_same_v<T, std::string>) return "string";
}
template <class... T>
const char* type_name(const std::variant<T...>& value) {
  return std::visit(
      []<class U>(const U& v) {
        if constexpr (requires { v.data() + v.size(); } && !std::is_same_v<U, std::string>)
          return type_name<typename U::value_type>();
        else
          return type_name<U>();
      },
      value);
}

/// "25 x 25", for messages; 0 reads as "any" where it stands for that.
std::string shape(const Extents& extents, const char* zero = "0") {
  Names parts;
  for (const auto extent : extents) parts.push_back(extent == 0 ? zero : std::to_string(extent));
  return parts.empty() ? "a single number" : fmt::format("{}", fmt::join(parts, " x "));
}

// --- Writing -------------------------------------------------------------------------------------

void write_array(hid_t file, const std::string& name, const Array& array) {
  std::uint64_t count = 1;
  for (const auto extent : array.extents) count *= extent;
  std::visit(
      [&]<class T>(const std::vector<T>& numbers) {
        require(numbers.size() == count, "write_hdf5", "an array's size is not its extents'");
        const std::vector<hsize_t> extents(array.extents.begin(), array.extents.end());
        const Handle space(extents.empty() ? H5Screate(H5S_SCALAR)
                                           : H5Screate_simple(static_cast<int>(extents.size()),
                                                              extents.data(), nullptr),
                           H5Sclose, "H5Screate");
        const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "H5Pcreate");
        check(H5Pset_obj_track_times(properties, false), "H5Pset_obj_track_times");
        const Handle set(H5Dcreate2(file, name.c_str(), file_type<T>(), space, H5P_DEFAULT,
                                    properties, H5P_DEFAULT),
                         H5Dclose, "H5Dcreate");
        if (count > 0)
          check(H5Dwrite(set, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()),
                "H5Dwrite");
      },
      array.numbers);
}

void write_attribute(hid_t file, const std::string& name, const Attribute& attribute) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "H5Screate");
  const auto write = [&](hid_t stored, hid_t given, const void* value) {
    const Handle id(H5Acreate2(file, name.c_str(), stored, space, H5P_DEFAULT, H5P_DEFAULT),
                    H5Aclose, "H5Acreate");
    check(H5Awrite(id, given, value), "H5Awrite");
  };
  std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::is_same_v<T, std::string>) {
          const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy");
          check(H5Tset_size(type, H5T_VARIABLE), "H5Tset_size");
          check(H5Tset_cset(type, H5T_CSET_UTF8), "H5Tset_cset");
          const char* text = value.c_str();
          write(type, type, &text);
        } else {
          write(file_type<T>(), memory_type<T>(), &value);
        }
      },
      attribute);
}

/// Calls use(bytes) with the file's bytes. It is composed in memory, so that a full disk is met by
/// write_bytes, which knows how to clean up, and not inside HDF5, which doesn't.
void compose(const Hdf5File& contents, auto use) {
  std::size_t size = 1 << 16;
  for (const auto& [name, array] : contents.arrays)
    std::visit([&](const auto& numbers) { size += numbers.size() * sizeof(numbers[0]); },
               array.numbers);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
  check(H5Pset_fapl_core(access, size, false), "H5Pset_fapl_core");
  // The format of HDF5 1.8 (2008) is read everywhere and, unlike older ones, has checksums: damaged
  // files are told from good ones, where older formats may crash the library.
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "H5Pset_libver_bounds");
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "H5Pcreate");
  check(H5Pset_obj_track_times(creation, false), "H5Pset_obj_track_times");
  const Handle file(H5Fcreate("in memory", H5F_ACC_TRUNC, creation, access), H5Fclose, "H5Fcreate");
  for (const auto& [name, array] : contents.arrays) write_array(file, name, array);
  for (const auto& [name, attribute] : contents.attributes) write_attribute(file, name, attribute);
  check(H5Fflush(file, H5F_SCOPE_GLOBAL), "H5Fflush");
  const auto bytes = check(H5Fget_file_image(file, nullptr, 0), "H5Fget_file_image");
  // The image itself would have a spoilt checksum (seen in 1.10.8); the memory under it is right.
  void* memory = nullptr;
  check(H5Fget_vfd_handle(file, access, &memory), "H5Fget_vfd_handle");
  use(std::span(*static_cast<const std::byte* const*>(memory), bytes));
}

// --- Reading -------------------------------------------------------------------------------------

/// Names of the root group's own objects; links to other files are not followed.
Names object_names(hid_t file) {
  Names names;
  const auto collect = [](hid_t, const char* name, const H5L_info_t* link, void* into) -> herr_t {
    if (link->type == H5L_TYPE_HARD) static_cast<Names*>(into)->emplace_back(name);
    return 0;
  };
  check(H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "H5Literate");
  return names;
}

Names attribute_names(hid_t file) {
  Names names;
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* into) -> herr_t {
    static_cast<Names*>(into)->emplace_back(name);
    return 0;
  };
  check(H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "H5Aiterate");
  return names;
}

/// Throws where the file can't hold that many numbers: as many bytes as they take, or, in chunks
/// that may be packed, at least what deflate makes of them at its best (1032 to 1).
void require_stored(hid_t set, double bytes, std::uint64_t file_bytes) {
  const Handle properties(H5Dget_create_plist(set), H5Pclose, "H5Dget_create_plist");
  const bool is_chunked = H5Pget_layout(properties) == H5D_CHUNKED;
  const double available = is_chunked ? 1032. * static_cast<double>(file_bytes)
                                      : static_cast<double>(H5Dget_storage_size(set));
  if (bytes > available || (!is_chunked && available > static_cast<double>(file_bytes)))
    throw std::runtime_error(
        fmt::format("it should take {:.0f} bytes, which are not in the file", bytes));
}

template <class T>
std::vector<T> read_numbers(hid_t set, std::uint64_t count) {
  std::vector<T> numbers(count);
  if (count > 0)
    check(H5Dread(set, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()), "H5Dread");
  return numbers;
}

std::optional<Array> read_array(hid_t file, const std::string& name, std::uint64_t file_bytes) {
  const Handle object(H5Oopen(file, name.c_str(), H5P_DEFAULT), H5Oclose, "H5Oopen");
  if (H5Iget_type(object) != H5I_DATASET) return std::nullopt;
  const Handle type(H5Dget_type(object), H5Tclose, "H5Dget_type");
  const auto kind = H5Tget_class(type);
  if (kind != H5T_FLOAT && kind != H5T_INTEGER) return std::nullopt;

  const Handle space(H5Dget_space(object), H5Sclose, "H5Dget_space");
  if (H5Sget_simple_extent_type(space) == H5S_NULL) return std::nullopt;
  std::vector<hsize_t> extents(check(H5Sget_simple_extent_ndims(space), "H5Sget_ndims"));
  check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "H5Sget_dims");
  double count = 1;
  for (const auto extent : extents) count *= static_cast<double>(extent);
  require_stored(object, count * static_cast<double>(H5Tget_size(type)), file_bytes);

  Array array{.extents = {extents.begin(), extents.end()}, .numbers = {}};
  const auto exact = static_cast<std::uint64_t>(count);
  if (kind == H5T_INTEGER)
    array.numbers = read_numbers<std::int64_t>(object, exact);
  else if (H5Tget_size(type) <= sizeof(float))
    array.numbers = read_numbers<float>(object, exact);
  else
    array.numbers = read_numbers<double>(object, exact);
  return array;
}

std::string read_string(hid_t attribute, hid_t type) {
  if (check(H5Tis_variable_str(type), "H5Tis_variable_str") > 0) {
    const Handle memory(H5Tcopy(type), H5Tclose, "H5Tcopy");
    char* text = nullptr;
    check(H5Aread(attribute, memory, &text), "H5Aread");
    std::string copy = text == nullptr ? "" : text;
    H5free_memory(text);
    return copy;
  }
  std::string text(H5Tget_size(type), '\0');
  check(H5Aread(attribute, type, text.data()), "H5Aread");
  if (H5Tget_strpad(type) == H5T_STR_SPACEPAD) text.resize(text.find_last_not_of(' ') + 1);
  text.resize(std::min(text.size(), text.find('\0')));
  return text;
}

std::optional<Attribute> read_attribute(hid_t file, const std::string& name) {
  const Handle attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose, "H5Aopen");
  const Handle space(H5Aget_space(attribute), H5Sclose, "H5Aget_space");
  if (H5Sget_simple_extent_npoints(space) != 1) return std::nullopt;
  const Handle type(H5Aget_type(attribute), H5Tclose, "H5Aget_type");
  const auto read = [&]<class T>(T value) {
    check(H5Aread(attribute, memory_type<T>(), &value), "H5Aread");
    return value;
  };
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return read(std::int64_t{});
    case H5T_FLOAT:
      return read(double{});
    case H5T_STRING:
      return read_string(attribute, type);
    default:
      return std::nullopt;
  }
}

template <class Map>
std::string list_of(const Map& map) {
  Names names;
  for (const auto& [name, value] : map) names.push_back(name);
  return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

template <class T>
const std::vector<T>& Hdf5File::array(const std::string& name, const Extents& extents) const {
  const auto found = arrays.find(name);
  if (found == arrays.end())
    throw InputError(
        fmt::format("{}: has no array \"{}\" (it holds {}); check that it is the right file",
                    source, name, list_of(arrays)));
  const auto& array = found->second;
  if (!std::holds_alternative<std::vector<T>>(array.numbers))
    throw InputError(fmt::format("{}: \"{}\" holds {}; write it as {}", source, name,
                                 type_name(array.numbers), type_name<T>()));
  bool matches = array.extents.size() == extents.size();
  for (std::size_t i = 0; matches && i < extents.size(); ++i)
    matches = extents[i] == 0 || array.extents[i] == extents[i];
  if (!matches)
    throw InputError(
        fmt::format("{}: \"{}\" is {}, but should be {}; check that it is the right file", source,
                    name, shape(array.extents), shape(extents, "any")));
  return std::get<std::vector<T>>(array.numbers);
}

template <class T>
std::vector<T> Hdf5File::take_array(const std::string& name, const Extents& extents) {
  array<T>(name, extents);  // checks it
  return std::move(std::get<std::vector<T>>(arrays.extract(name).mapped().numbers));
}

template <class T>
T Hdf5File::attribute(const std::string& name) const {
  const auto found = attributes.find(name);
  if (found == attributes.end())
    throw InputError(
        fmt::format("{}: has no attribute \"{}\" (it has {}); check that it is the right file",
                    source, name, list_of(attributes)));
  if (const T* value = std::get_if<T>(&found->second)) return *value;
  if constexpr (std::is_same_v<T, double>)
    if (const auto* value = std::get_if<std::int64_t>(&found->second)) return double(*value);
  throw InputError(fmt::format("{}: attribute \"{}\" is {}, but should be {}", source, name,
                               type_name(found->second), type_name<T>()));
}

template const std::vector<float>& Hdf5File::array(const std::string&, const Extents&) const;
template const std::vector<double>& Hdf5File::array(const std::string&, const Extents&) const;
template const std::vector<std::int64_t>& Hdf5File::array(const std::string&, const Extents&) const;
template std::vector<float> Hdf5File::take_array(const std::string&, const Extents&);
template std::vector<double> Hdf5File::take_array(const std::string&, const Extents&);
template std::vector<std::int64_t> Hdf5File::take_array(const std::string&, const Extents&);
template std::int64_t Hdf5File::attribute(const std::string&) const;
template double Hdf5File::attribute(const std::string&) const;
template std::string Hdf5File::attribute(const std::string&) const;

void write_hdf5(const std::filesystem::path& path, const Hdf5File& contents) {
  silence_error_printing();
  try {
    compose(contents, [&](std::span<const std::byte> bytes) { write_bytes(path, {bytes}); });
  } catch (const InputError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw InputError(path.string() + ": could not be written: " + error.what());
  }
}

void write_hdf5(const std::filesystem::path& path, const Hdf5File& contents,
                const std::vector<LargeArray>& large) {
  silence_error_printing();
  write_atomically(path, [&](const std::filesystem::path& temporary) {
    std::uint64_t bytes = 0;
    for (const auto& [name, array] : contents.arrays)
      bytes += std::visit([](const auto& x) { return x.size() * sizeof(x[0]); }, array.numbers);
    for (const auto& array : large) bytes += array.numbers.size_bytes();
    require_room(temporary, bytes);

    std::vector<haddr_t> places;
    {
      const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
      check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "H5Pset_libver_bounds");
      const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "H5Pcreate");
      check(H5Pset_obj_track_times(creation, false), "H5Pset_obj_track_times");
      const Handle file(H5Fcreate(temporary.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose,
                        "H5Fcreate");
      for (const auto& [name, array] : contents.arrays) write_array(file, name, array);
      for (const auto& [name, value] : contents.attributes) write_attribute(file, name, value);
      for (const auto& array : large) {
        std::uint64_t count = 1;
        for (const auto extent : array.extents) count *= extent;
        require(count > 0 && array.numbers.size() == count, "write_hdf5",
                "an array's size is not its extents'");
        places.push_back(lay_out(file, array.name, array.extents));
      }
      check(H5Fflush(file, H5F_SCOPE_GLOBAL), "H5Fflush");
    }
    for (std::size_t i = 0; i < large.size(); ++i)
      RawWriter(temporary, places[i]).append(std::as_bytes(large[i].numbers));
  });
}

Hdf5File read_hdf5(const std::filesystem::path& path) {
  silence_error_printing();
  const auto file_bytes = require_regular_file(path);
  const auto refuse = [&](const std::string& what) {
    throw InputError(path.string() + ": " + what);
  };
  if (H5Fis_hdf5(path.c_str()) <= 0) refuse("is not an HDF5 file; check the path");
  Hdf5File contents;
  contents.source = path.string();
  std::string field = "the file";
  try {
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "H5Pcreate");
    // Network file systems often have no locks, and reading needs none.
    check(H5Pset_file_locking(access, false, true), "H5Pset_file_locking");
    const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose, "H5Fopen");
    for (const auto& name : object_names(file)) {
      field = '"' + name + '"';
      if (auto array = read_array(file, name, file_bytes))
        contents.arrays.emplace(name, std::move(*array));
    }
    for (const auto& name : attribute_names(file)) {
      field = "attribute \"" + name + '"';
      if (auto attribute = read_attribute(file, name))
        contents.attributes.emplace(name, std::move(*attribute));
    }
  } catch (const std::bad_alloc&) {
    refuse(field + " does not fit into memory");
  } catch (const std::runtime_error& error) {
    refuse(field + " could not be read (" + error.what() +
           "): the file is truncated, damaged, or in a newer format than this HDF5 knows; fetch it "
           "again, or write it with HDF5's default format");
  }
  return contents;
}

}  // namespace orrery::io
