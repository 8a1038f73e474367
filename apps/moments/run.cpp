#include "apps/moments/run.hpp"

#include <fmt/format.h>

#include <limits>
#include <map>
#include <sstream>

#include "apps/interruption.hpp"
#include "apps/moments/checkpoint.hpp"
#include "apps/moments/image_queue.hpp"
#include "apps/moments/preparation.hpp"
#include "apps/moments/results.hpp"
#include "apps/precision.hpp"
#include "apps/program.hpp"
#include "apps/stopwatch.hpp"
#include "apps/view_moments_file.hpp"
#include "kernels/check.hpp"
#include "kernels/parallel_tasks.hpp"

namespace orrery {
namespace {

double known_pixel_size(const MomentsOptions& o, const io::ParticleImages& images) {
  const double size = o.pixel_size.value_or(images.pixel_size());
  if (size > 0) return size;
  throw InputError(o.particles +
                   ": says nothing about the pixel size, nor do its stacks' headers; give "
                   "--pixel-size in angstrom");
}

io::BadStacks bad_stacks(const MomentsOptions& o) {
  return o.skip_bad ? io::BadStacks::skip : io::BadStacks::refuse;
}

/// Results of another run are replaced only when that is asked for.
void check_output(const MomentsOptions& o, int processes) {
  if (std::filesystem::is_directory(o.output))
    throw InputError("-o " + o.output + ": is a folder; name a file in it");
  const auto folder = std::filesystem::path(o.output).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw InputError("-o " + o.output + ": there is no folder " + folder.string() + "; make it");
  if (o.overwrite || o.resume) return;
  for (const auto& file : {std::filesystem::path(o.output), summary_beside(o.output)})
    if (std::filesystem::exists(file))
      throw InputError("-o " + o.output + ": " + file.string() +
                       " is there already; give --overwrite to replace it, or another name");
  for (int rank = 0; rank < processes; ++rank)
    if (std::filesystem::exists(o.checkpoint_file(rank)))
      throw InputError(o.checkpoint_file(rank).string() +
                       ": is the checkpoint of an unfinished run; give --resume to go on with it, "
                       "or --overwrite to start again");
}

/// The particles that are this process's to read: whole batches, so that they are the same ones
/// however many processes there are.
std::vector<Index> own_particles(const std::vector<Index>& usable, Index batch,
                                 const Processes& processes) {
  const Index total = std::ssize(usable);
  const auto batches = processes.share_of((total + batch - 1) / batch);
  const Index first = std::min(batches.first * batch, total);
  const Index end = std::min((batches.first + batches.count) * batch, total);
  return {usable.begin() + first, usable.begin() + end};
}

/// Where this process goes on: from `beginning`, if it was killed before its first checkpoint and
/// another one has any.
RunState state_to_resume(const MomentsOptions& o, const std::string& identity, RunState beginning,
                         Estimation& estimation, const Processes& processes) {
  const auto file = o.checkpoint_file(processes.rank());
  const bool is_there = std::filesystem::exists(file);
  if (!processes.any(is_there) || is_there)
    return read_checkpoint(file, identity, estimation, processes);
  return beginning;
}

/// What processes have met, by rank.
std::vector<std::string> gathered_problems(const std::vector<std::string>& own,
                                           const Processes& processes) {
  std::string lines;
  for (const auto& problem : own) lines += problem + '\n';
  std::vector<std::string> all;
  for (const auto& text : processes.gather(lines)) {
    std::istringstream problems(text);
    for (std::string line; std::getline(problems, line);) all.push_back(line);
  }
  return all;
}

/// Those of all processes, and what is left of a run by more of them.
void remove_checkpoints(const MomentsOptions& o, int processes) {
  std::error_code ignored;
  int rank = 0;
  while (std::filesystem::remove(o.checkpoint_file(rank), ignored) || rank < processes) ++rank;
}

/// On the CPU a block stays near one core on its whole way to coefficients; a device wants many
/// images at a time.
ImageQueue::Blocks blocks_for(const Context& ctx) {
  if (ctx.backend() == Backend::cuda) return {16 << 20, 3};
  return {1 << 20, 2 * ctx.threads() + 8};
}

/// What came of the blocks of a batch, in the order of the images, whoever had which of them.
class BlockOutcomes {
 public:
  void add(Index first, std::vector<std::string> problems) {
    const std::scoped_lock lock(mutex_);
    if (!problems.empty()) problems_[first] = std::move(problems);
  }
  void fail(Index first, std::exception_ptr failure) {
    const std::scoped_lock lock(mutex_);
    failures_.emplace(first, failure);
  }
  /// All problems, or throws what came first.
  std::vector<std::string> problems() const {
    if (!failures_.empty()) std::rethrow_exception(failures_.begin()->second);
    std::vector<std::string> all;
    for (const auto& [first, some] : problems_) all.insert(all.end(), some.begin(), some.end());
    return all;
  }

 private:
  std::mutex mutex_;
  std::map<Index, std::vector<std::string>> problems_;
  std::map<Index, std::exception_ptr> failures_;
};

/// What a run is made with, and how far it is.
struct Run {
  const Context& ctx;
  const MomentsOptions& options;
  const io::ParticleImages& images;
  const Preparation& preparation;
  const std::string& identity;
  Console& console;
  const Processes& processes;
  const Interruption& interruption;
  Estimation& estimation;
  RunState& state;

  void write_checkpoint() const {
    orrery::write_checkpoint(options.checkpoint_file(processes.rank()), identity, state, estimation,
                             processes);
  }
};

/// Brings the batch's images to their places among the coefficients; returns the problems. A thread
/// takes block after block; what an operation would share out among threads runs on that one, as
/// OpenMP does not nest.
std::vector<std::string> prepare_batch(const Run& run, ImageQueue& queue) {
  BlockOutcomes outcomes;
  const auto prepare = [&](ImageBlock& block) {
    try {
      const auto coefficients = run.preparation.coefficients(block);
      run.estimation.put(block.first, coefficients, block.particles);
      outcomes.add(block.first, std::move(block.problems));
    } catch (...) {
      outcomes.fail(block.first, std::current_exception());
    }
  };
  const int workers = run.ctx.backend() == Backend::cuda ? 1 : run.ctx.threads();
  for_each_task(workers, workers, [&](Index) {
    try {
      while (!run.interruption && queue.next(prepare)) continue;
    } catch (...) {  // what reading threw comes after all that was read
      outcomes.fail(std::numeric_limits<Index>::max(), std::current_exception());
    }
  });
  return outcomes.problems();
}

/// Sums the images of these particles, from where the run is: one thread reads, the others prepare
/// what it has read, and all sum a batch. Stops between two batches when it is interrupted.
void sum_images(const Run& run, const std::vector<Index>& particles, Index batch) {
  RunState& state = run.state;
  const Index total = std::ssize(particles), before = state.position;
  ImageQueue queue(run.images, particles, before, batch, bad_stacks(run.options),
                   blocks_for(run.ctx));
  const Stopwatch loop;
  Stopwatch since_saved;
  const auto progress = [&] {
    const double rate = double(state.position - before) / std::max(loop.seconds(), 1e-9);
    return fmt::format("{}/{} images{}, {:.0f} a second, {} left", state.position, total,
                       run.processes.are_several() ? " of one process" : "", rate,
                       duration_text(double(total - state.position) / std::max(rate, 1e-9)));
  };
  while (state.position < total) {
    const auto some = queue.begin_batch();
    run.estimation.begin_batch(some);
    const auto problems = prepare_batch(run, queue);
    if (run.interruption) break;
    run.estimation.end_batch();
    for (const auto& problem : problems) {
      run.console.warn_of_own(problem);
      state.problems.push_back(problem);
    }
    state.position += std::ssize(some);
    run.console.live(state.position == total, progress);
    if (state.position == total || since_saved.seconds() < run.options.checkpoint_seconds) continue;
    run.write_checkpoint();
    since_saved.restart();
  }
  if (run.interruption) run.processes.call();
  run.console.end_live();
}

}  // namespace

int estimate_moments(const Context& device, const MomentsOptions& o, Console& console,
                     const Processes& processes) {
  if (processes.is_first()) check_output(o, processes.count());
  processes.meet();
  const Context ctx = device.with_precision(precision_named(o.precision));
  const Stopwatch whole;
  const Interruption interruption;

  // What there is, and what is to be done to it.
  const auto table = io::read_particles(o.particles, {o.data_folder, o.pixel_size});
  for (const auto& note : table.notes) console.say(note);
  const io::ParticleImages images(table, bad_stacks(o));
  const double pixel_size = known_pixel_size(o, images);
  const int n = working_box(o, images.size());
  const Index batch = batch_size(o, n);
  const double edge = pixel_size * double(images.size());
  console.say(
      fmt::format("{}: {} images of {} x {} pixels of {:.4g} A, to {} x {} of {:.4g} A, on {}{}",
                  o.particles, std::ssize(images.usable()), images.size(), images.size(),
                  pixel_size, n, n, edge / n, ctx.description(), in_each_of(processes)));
  Estimation estimation(ctx, o, table, n, edge, batch);
  const Preparation preparation(ctx, o, table, images, pixel_size, n, processes);
  for (const auto& note : preparation.notes()) console.say(note);

  const auto identity = run_identity(o, table, images.usable());
  RunState state;
  // Stacks that are missing altogether are met by all processes, and told by one.
  if (processes.is_first()) state.problems = images.problems();
  if (o.resume) state = state_to_resume(o, identity, state, estimation, processes);
  for (const auto& problem : state.problems) console.warn_of_own(problem);

  const auto own = own_particles(images.usable(), batch, processes);
  const Index total = std::ssize(own), to_do = total - state.position;
  const Run run{ctx,     o,         images,       preparation, identity,
                console, processes, interruption, estimation,  state};
  const Stopwatch loop;
  sum_images(run, own, batch);
  estimation.end();
  if (processes.any(state.position < total)) {
    run.write_checkpoint();
    processes.meet();
    console.warn(
        "interrupted; the checkpoint is written, go on with the same command and --resume");
    return 130;
  }
  for (auto& half : estimation.halves()) half.sum_over(processes);
  if (estimation.images() == 0)
    throw InputError(o.particles + ": none of its images could be used; check the stacks");

  const RunFigures figures{
      .particles = std::ssize(table.particles),
      .problems = gathered_problems(state.problems, processes),
      .seconds = whole.seconds(),
      .images_per_second = processes.sum(static_cast<double>(to_do)) / loop.seconds(),
      .device = ctx.description(),
      .threads = ctx.threads(),
      .processes = processes.count()};
  if (processes.is_first()) {
    const auto estimate =
        write_results(o, table, preparation, std::move(estimation.halves()), pixel_size, figures);
    remove_checkpoints(o, processes.count());
    console.say(fmt::format(
        "{} images, noise variance {:.4g} of a coefficient, signal-to-noise ratio {:.3g}\n"
        "standard errors: {:.4f} of the first moment, {:.4f} of the second; {:.1f} s\n"
        "moments in {}",
        estimate.images, preparation.noise_variance(),
        preparation.power() / preparation.noise_variance() - 1, estimate.first_error,
        estimate.second_error, figures.seconds, o.output));
  }
  processes.meet();
  return 0;
}

int moments_box(const MomentsOptions& o) {
  const auto table = io::read_particles(o.particles, {o.data_folder, o.pixel_size});
  return working_box(o, io::ParticleImages(table, io::BadStacks::refuse).size());
}

}  // namespace orrery
