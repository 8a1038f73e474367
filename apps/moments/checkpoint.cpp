#include "apps/moments/checkpoint.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

#include "io/files.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

using nlohmann::ordered_json;

// One line of JSON, padded to whole words, and the sums' doubles as they lie in memory: a
// checkpoint is read where it was written.
constexpr const char* kind = "Orrery moments checkpoint";
constexpr int version = 2;

/// FNV-1a over everything that says which images they are and what is done to them.
class Fingerprint {
 public:
  void add(const void* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      hash_ = (hash_ ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3u;
  }
  template <class... T>
  void add_numbers(T... numbers) {
    (add(&numbers, sizeof numbers), ...);
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

std::span<const std::byte> text_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

std::string run_identity(const MomentsOptions& options, const io::ParticleTable& table,
                         std::span<const Index> particles) {
  Fingerprint print;
  for (const Index i : particles) {
    const auto& p = table.particles[static_cast<std::size_t>(i)];
    const auto stack = table.stacks[static_cast<std::size_t>(p.stack)].filename().string();
    print.add(stack.data(), stack.size());
    const auto& group = table.groups[static_cast<std::size_t>(p.group)];
    print.add_numbers(p.image, p.origin_x, p.origin_y, p.half, group.pixel_size, numbers_of(p.ctf));
  }
  return options.deciding_options + "particles=" + std::to_string(particles.size()) +
         "\nfingerprint=" + std::to_string(print.value()) + "\n";
}

void write_checkpoint(const std::filesystem::path& path, const std::string& identity,
                      const RunState& state, const Estimation& estimation,
                      const Processes& processes) {
  const ordered_json head = {{"kind", kind},
                             {"version", version},
                             {"identity", identity},
                             {"processes", processes.count()},
                             {"position", state.position},
                             {"problems", state.problems}};
  std::string line = head.dump();
  line.append(sizeof(double) - (line.size() + 1) % sizeof(double), ' ').append("\n");
  io::GrowingFile file(path);
  file.append(text_bytes(line));
  for (const auto& half : estimation.halves())
    half.visit_sums([&](std::span<const double> sums) { file.append(std::as_bytes(sums)); });
  file.close();
}

RunState read_checkpoint(const std::filesystem::path& path, const std::string& identity,
                         Estimation& estimation, const Processes& processes) {
  const auto refuse = [&](const std::string& what) {
    throw InputError(path.string() + ": " + what);
  };
  if (!std::filesystem::exists(path))
    refuse("there is no such checkpoint to resume from; start without --resume");
  const io::RandomAccessFile file(path);
  std::string line(std::min<std::uint64_t>(file.size(), 1 << 20), '\0');
  file.read(0, std::as_writable_bytes(std::span(line)));
  line.resize(std::min(line.find('\n'), line.size()));
  const auto head = ordered_json::parse(line, nullptr, false);
  if (head.is_discarded() || !head.is_object() || head.value("kind", "") != kind)
    refuse("is not a checkpoint of moments; start again with --overwrite");
  if (head.value("version", 0) != version)
    refuse("was written by another version; start again with --overwrite");
  const int written_by = head.value("processes", 1);
  if (written_by != processes.count())
    refuse("was written by a run of " + std::to_string(written_by) +
           (written_by == 1 ? " process" : " processes") +
           "; go on with as many, or start again with --overwrite");
  if (head.value("identity", "") != identity)
    refuse(
        "belongs to a run with other options or other particles; give the same, or start again "
        "with --overwrite");
  RunState state;
  state.position = head.value("position", std::int64_t{0});
  state.problems = head.value("problems", std::vector<std::string>());

  std::uint64_t at = line.size() + 1;
  for (auto& half : estimation.halves())
    half.change_sums([&](std::span<double> sums) {
      if (file.read(at, std::as_writable_bytes(sums)) < sums.size_bytes())
        refuse("is truncated; start again with --overwrite");
      at += sums.size_bytes();
    });
  return state;
}

}  // namespace orrery
