#include "io/files.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <stdexcept>

#include "io/hdf5.hpp"
#include "io/image_stack.hpp"
#include "io/mrc.hpp"
#include "io/particles.hpp"
#include "io/picture.hpp"
#include "io/tables.hpp"
#include "kernels/random.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// No file may grow past `bytes` while this lives: a write fails half way, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_limit_;
  void (*old_handler_)(int);
};

class Files : public testing::Test {
 protected:
  TemporaryFolder folder;
};

TEST_F(Files, WriteWholeFiles) {
  write_text(folder / "a", "one");
  write_text(folder / "a", "two");
  EXPECT_EQ(read_text(folder / "a"), "two");
  write_text(folder / "a", "");
  EXPECT_EQ(read_text(folder / "a"), "");
  const std::string large(3 << 20, 'x');
  write_bytes(folder / "a", {std::as_bytes(std::span(large)), std::as_bytes(std::span(large))});
  EXPECT_EQ(read_text(folder / "a"), large + large);
}

TEST_F(Files, WriteBesideTheWorkingFolder) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_text("plain-name", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text(folder / "plain-name"), "text");
}

TEST_F(Files, AreLeftAsTheyWereWhenWritingFails) {
  write_text(folder / "a", "precious");
  const auto failing = [&](const std::filesystem::path& temporary) {
    std::ofstream(temporary) << "half";
    throw std::runtime_error("the reason");
  };
  const auto message = input_error_of([&] { write_atomically(folder / "a", failing); });
  EXPECT_EQ(message, (folder / "a").string() + ": could not be written: the reason");
  EXPECT_EQ(read_text(folder / "a"), "precious");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST_F(Files, NameTheReasonOfAFailure) {
  const auto refusal = [&](const std::filesystem::path& path) {
    return input_error_of([&] { write_text(path, "text"); });
  };
  EXPECT_EQ(refusal(folder / "no/such"),
            (folder / "no/such").string() + ": could not be written: No such file or directory");
  write_text(folder / "file", "text");
  EXPECT_THAT(refusal(folder / "file/below"), HasSubstr("Not a directory"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal("/dev/full"), HasSubstr("not a regular file"));
  EXPECT_THAT(refusal(folder / std::string(300, 'x')), HasSubstr("File name too long"));
}

TEST_F(Files, AreRefusedInReadOnlyFolders) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  ::chmod(folder.path().c_str(), 0500);
  EXPECT_THAT(input_error_of([&] { write_text(folder / "b", "text"); }),
              HasSubstr("Permission denied"));
  ::chmod(folder.path().c_str(), 0700);
}

TEST_F(Files, KeepAFullDiskFromLeavingHalfAFile) {
  Volume volume{.n = 32, .voxel_size = 1, .voxels = std::vector<float>(32 * 32 * 32, 1.f)};
  Hdf5File moments;
  moments.arrays["x"] = {{40000}, std::vector<float>(40000, 1.f)};
  Table table{.columns = {"x"}, .rows = {60000, {0.1234567}}};
  Picture picture{.width = 400, .height = 400};
  RandomSequence random(1, 0);
  for (int i = 0; i < 480000; ++i)  // does not compress
    picture.rgb.push_back(static_cast<std::uint8_t>(random.uniform(0, 256)));
  ParticleTable particles;
  particles.stacks = {"images.mrcs"};
  particles.groups = {OpticsGroup{}};
  particles.particles.resize(60000);
  const std::vector<std::function<void(const std::filesystem::path&)>> writers = {
      [&](const auto& path) { write_map(path, volume, {}); },
      [&](const auto& path) {
        ImageStackWriter stack(path, 32, 1);
        stack.append(View<const float, 3>(volume.voxels.data(), 16, 32, 32));
        stack.append(View<const float, 3>(volume.voxels.data(), 16, 32, 32));
        stack.close();
      },
      [&](const auto& path) { write_hdf5(path, moments); },
      [&](const auto& path) { write_csv(path, table); },
      [&](const auto& path) { write_star(path, "x", table); },
      [&](const auto& path) { write_particles(path, particles); },
      [&](const auto& path) { write_png(path, picture); }};
  const auto path = folder / "output";
  for (const auto& write : writers) {
    std::string message;
    {
      const FileSizeLimit limit(100000);
      message = input_error_of([&] { write(path); });
    }
    EXPECT_EQ(message, path.string() + ": could not be written: File too large");
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    write(path);  // and with room again
    EXPECT_GT(std::filesystem::file_size(path), 100000u);
    std::filesystem::remove(path);
  }
}

TEST_F(Files, GrowUntilTheyAreClosed) {
  const auto path = folder / "a";
  write_text(path, "precious");
  {
    GrowingFile file(path);
    file.append("0123");
  }
  EXPECT_EQ(read_text(path), "precious");
  GrowingFile file(path);
  file.append("____ and so");
  file.append(" on");
  file.overwrite_front(std::as_bytes(std::span("head", 4)));
  file.append(".");
  EXPECT_EQ(read_text(path), "precious");
  GrowingFile moved(std::move(file));
  moved.close();
  EXPECT_EQ(read_text(path), "head and so on.");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST_F(Files, AreReadAtAnyPlace) {
  write_text(folder / "a", "0123456789");
  const RandomAccessFile file(folder / "a");
  EXPECT_EQ(file.size(), 10u);
  std::string four(4, '?');
  const auto bytes = std::as_writable_bytes(std::span(four));
  EXPECT_EQ(file.read(3, bytes), 4u);
  EXPECT_EQ(four, "3456");
  EXPECT_EQ(file.read(8, bytes), 2u);
  EXPECT_EQ(four, "8956");
  EXPECT_EQ(file.read(10, bytes), 0u);
  EXPECT_THAT(input_error_of([&] { RandomAccessFile absent(folder / "absent"); }),
              HasSubstr("no such file"));
}

TEST_F(Files, AreReadOnlyWhereTheyAreFiles) {
  EXPECT_THAT(input_error_of([&] { read_text(folder / "absent"); }), HasSubstr("no such file"));
  EXPECT_THAT(input_error_of([&] { read_text(folder.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(input_error_of([&] { read_text("/dev/zero"); }), HasSubstr("not a regular file"));
  write_text(folder / "file", "text");
  EXPECT_THAT(input_error_of([&] { read_text(folder / "file/below"); }),
              AllOf(HasSubstr("file/below: "), Not(HasSubstr("filesystem error"))));
}

}  // namespace
}  // namespace orrery::io
