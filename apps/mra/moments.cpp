#include "apps/mra/moments.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>

#include "apps/mra/common.hpp"
#include "apps/mra/moments_file.hpp"
#include "apps/mra/noise.hpp"
#include "apps/mra/observations.hpp"
#include "io/observations.hpp"
#include "kernels/check.hpp"
#include "moments/sample_moments.hpp"

namespace orrery {

namespace {

struct MomentsOptions : CommandOptions {
  std::string file, dataset;
  std::optional<double> sigma;
  bool estimate_noise = false;
};

/// The noise variance as given; none where it is to be estimated.
std::optional<double> given_variance(const MomentsOptions& o) {
  if (o.sigma && o.estimate_noise)
    throw InputError("--noise-sigma and --estimate-noise contradict one another; give one of them");
  if (o.estimate_noise) return std::nullopt;
  if (!o.sigma)
    throw InputError(
        "--noise-sigma: the noise is not known; give its standard deviation, or --estimate-noise "
        "to have it from the highest frequencies");
  return *o.sigma * *o.sigma;
}

/// Reads one instance to its end; `report` is told how many observations there are so far.
SampleMoments read_instance(const Context& ctx, io::ObservationReader& file,
                            const std::function<void(Index)>& report) {
  SampleMoments moments(ctx, file.length());
  Tensor<double, 2> rows(Context::cpu(1), observations_a_block(file.length()), file.length());
  while (const Index count = file.read(rows)) {
    const auto some = rows.view().rows(0, count);
    if (ctx.backend() == Backend::cpu)
      moments.add(some);
    else
      moments.add(upload(ctx, some));
    report(moments.count());
  }
  return moments;
}

/// The mean of the instances' estimates, which the moments have been waiting for.
NoiseEstimate estimated_noise(const std::string& path, const ShiftMoments& m) {
  NoiseEstimate mean;
  const View<const double, 2> first(m.first.data(), m.instances, m.n);
  const View<const double, 3> second(m.second.data(), m.instances, m.n, m.n);
  for (Index i = 0; i < m.instances; ++i) {
    const auto one = estimate_noise(first[i], second[i], m.observations);
    if (!one.doubt.empty())
      throw InputError(
          fmt::format("{}: the noise variance cannot be estimated{}: {}; give --noise-sigma", path,
                      m.instances > 1 ? fmt::format(" from instance {}", i + 1) : "", one.doubt));
    mean.variance += one.variance / double(m.instances);
    mean.standard_error += std::pow(one.standard_error / double(m.instances), 2);
  }
  mean.standard_error = std::sqrt(mean.standard_error);
  return mean;
}

int form_moments(const CLI::App& command, const MomentsOptions& o) {
  const auto variance = given_variance(o);
  const auto file = io::open_observations(o.file, o.dataset, "observations");
  if (file->length() < 2 || file->length() > 8192)
    throw InputError(fmt::format("{}: observations of {} cannot be used; 2 to 8192 samples can",
                                 o.file, counted(file->length(), "sample")));
  CommandRun run(command, o, {"moments.h5"});
  ShiftMoments m{.instances = file->instances(), .n = file->length()};
  for (Index i = 0; i < m.instances; ++i) {
    const auto moments = read_instance(run.ctx, *file, [&](Index count) {
      run.console.live(false, [&] {
        return fmt::format("instance {}/{}, {} observations", i + 1, m.instances, count);
      });
    });
    m.observations = moments.count();
    m.append(moments);
  }
  run.console.end_live();

  nlohmann::ordered_json summary;
  summary["file"] = o.file;
  summary["instances"] = m.instances;
  summary["observations"] = m.observations;
  summary["n"] = m.n;
  if (variance) {
    m.noise_variance = *variance;
  } else {
    const auto noise = estimated_noise(o.file, m);
    m.noise_variance = noise.variance;
    summary["noise_standard_error"] = noise.standard_error;
  }
  summary["noise_variance"] = m.noise_variance;
  summary["noise_estimated"] = o.estimate_noise;
  for (Index k = 0; k < m.instances * m.n; ++k) m.second[k * m.n + k % m.n] -= m.noise_variance;

  run.begin();
  m.notes = {{"settings", run.folder.deciding_options()}};
  write_shift_moments(run.folder / "moments.h5", m);
  const std::string estimated =
      o.estimate_noise ? fmt::format(", estimated to {:.2g} from the highest frequencies",
                                     summary["noise_standard_error"].get<double>())
                       : "";
  run.console.say(fmt::format("{}: {} of {} of {}; noise variance {:.6g}{}\nresults in {}", o.file,
                              counted(m.instances, "instance"),
                              counted(m.observations, "observation"), counted(m.n, "sample"),
                              m.noise_variance, estimated, run.folder.path().string()));
  run.finish(summary);
  return 0;
}

}  // namespace

void add_moments(CLI::App& app) {
  const auto options = std::make_shared<MomentsOptions>();
  auto& o = *options;
  o.output = "moments";
  auto& command = add_command(app, "moments", "debiased moments of your own observations",
                              [options](const CLI::App& c) { return form_moments(c, *options); });
  command.add_option("FILE", o.file, "observations: CSV, NPY or HDF5, one a row")->required();
  command.add_option("--dataset", o.dataset, "which one of an HDF5 file");
  command.option_defaults()->group("Noise");
  command.add_option("--noise-sigma", o.sigma, "standard deviation of the noise in a sample")
      ->check(not_negative());
  command.add_flag("--estimate-noise", o.estimate_noise,
                   "or estimate it from the highest frequencies");
  add_command_options(command, o, "");
}

}  // namespace orrery
