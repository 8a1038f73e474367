#include "apps/mra/shift_model.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "kernels/check.hpp"
#include "kernels/pointwise.hpp"
#include "moments/encoder_channels.hpp"

namespace orrery {

namespace {

constexpr std::int64_t model_version = 1;
constexpr const char* model_kind = "multi-reference alignment model";

std::string text_of(const std::vector<Index>& counts) {
  return fmt::format("{}", fmt::join(counts, " "));
}

std::vector<Index> counts_of(const std::string& text) {
  std::istringstream words(text);
  std::vector<Index> counts;
  for (Index count; words >> count;) counts.push_back(count);
  return counts;
}

MomentEncoderSettings fitted(MomentEncoderSettings encoder) {
  encoder.first_inputs = first_channels;
  encoder.second_inputs = second_channels(encoder.n);
  return encoder;
}

}  // namespace

ShiftModel::ShiftModel(const Context& ctx, const ShiftModelSettings& settings)
    : ctx_(ctx),
      settings_(settings),
      parameters_(ctx),
      signal_(fitted(settings.encoder), parameters_, "signal encoder"),
      density_(fitted(settings.encoder), parameters_, "density encoder") {
  settings_.encoder = signal_.settings();
  parameters_.allocate();
}

void ShiftModel::initialise() {
  signal_.initialise(parameters_, 2 * settings_.seed);
  density_.initialise(parameters_, 2 * settings_.seed + 1);
}

ShiftModel::Workspace ShiftModel::workspace(Index batch) const {
  return {Tensor<float, 3>(ctx_, batch, first_channels, n()),
          Tensor<float, 3>(ctx_, batch, second_channels(n()), n()),
          signal_.workspace(ctx_, batch),
          density_.workspace(ctx_, batch),
          Tensor<float, 2>(ctx_, batch, n()),
          Tensor<float, 2>(ctx_, batch, n())};
}

void ShiftModel::look_at(View<const float, 2> first, View<const float, 3> second,
                         Workspace& workspace) const {
  encoder_channels<float>(ctx_, static_cast<float>(settings_.power_floor), first, second,
                          workspace.from_first, workspace.from_second);
}

void ShiftModel::signal_forward(Workspace& workspace, View<float, 2> signal) const {
  signal_.forward(ctx_, parameters_, workspace.from_first, workspace.from_second, workspace.signal,
                  signal);
}

void ShiftModel::signal_backward(Workspace& workspace, View<const float, 2> dsignal) {
  signal_.backward(ctx_, parameters_, workspace.signal, dsignal);
}

void ShiftModel::density_forward(Workspace& workspace, View<float, 2> density) const {
  density_.forward(ctx_, parameters_, workspace.from_first, workspace.from_second,
                   workspace.density, workspace.logits);
  softmax_forward<float>(ctx_, workspace.logits, density);
}

void ShiftModel::density_backward(Workspace& workspace, View<const float, 2> density,
                                  View<const float, 2> ddensity) {
  softmax_backward<float>(ctx_, density, ddensity, workspace.dlogits);
  density_.backward(ctx_, parameters_, workspace.density, workspace.dlogits);
}

void ShiftModel::forward(View<const float, 2> first, View<const float, 3> second,
                         Workspace& workspace, View<float, 2> signal,
                         View<float, 2> density) const {
  look_at(first, second, workspace);
  signal_forward(workspace, signal);
  density_forward(workspace, density);
}

void ShiftModel::backward(Workspace& workspace, View<const float, 2> density,
                          View<const float, 2> dsignal, View<const float, 2> ddensity) {
  signal_backward(workspace, dsignal);
  density_backward(workspace, density, ddensity);
}

ShiftModel copied(const Context& ctx, const ShiftModel& model) {
  ShiftModel copy_of_it(ctx, model.settings());
  const auto weights = download(model.parameters().context(), model.parameters().values());
  copy<float, 1>(ctx, upload(ctx, weights), copy_of_it.parameters().values());
  return copy_of_it;
}

void write_model(const std::filesystem::path& path, const ShiftModel& model,
                 const TrainingFacts& facts) {
  const MomentEncoderSettings& encoder = model.settings().encoder;
  io::Hdf5File file;
  file.attributes = {
      {"kind", std::string(model_kind)},
      {"format_version", model_version},
      {"n", std::int64_t{encoder.n}},
      {"window", std::int64_t{encoder.window}},
      {"first_branch", text_of(encoder.first_branch)},
      {"second_branch", text_of(encoder.second_branch)},
      {"joint", text_of(encoder.joint)},
      {"dense", text_of(encoder.dense)},
      {"dense_activation",
       std::string(encoder.activation_of_dense == TwoBranchSettings::Dense::tanh ? "tanh"
                                                                                 : "leaky_relu")},
      {"power_floor", model.settings().power_floor},
      {"mixture", std::int64_t{facts.mixture}},
      {"centres", facts.centres},
      {"samples", facts.samples},
      {"noise", facts.noise},
      {"signal_error", facts.errors.signal},
      {"density_error", facts.errors.density},
      {"continuous_signal_error", facts.errors.continuous_signal},
      {"continuous_density_error", facts.errors.continuous_density},
  };
  const auto weights = download(model.parameters().context(), model.parameters().values());
  file.arrays["weights"] = {{static_cast<std::uint64_t>(weights.size())},
                            std::vector<float>(weights.view().begin(), weights.view().end())};
  io::write_hdf5(path, file);
}

ShiftModel read_model(const Context& ctx, const std::filesystem::path& path, TrainingFacts* facts) {
  const io::Hdf5File file = io::read_hdf5(path);
  const auto kind = file.attributes.find("kind");
  if (kind == file.attributes.end() || kind->second != io::Attribute(std::string(model_kind)))
    throw InputError(file.source + ": is not a model of mra train; give its model.h5");
  const auto version = file.attribute<std::int64_t>("format_version");
  if (version != model_version)
    throw InputError(file.source + ": the model is of version " + std::to_string(version) +
                     ", this program reads version " + std::to_string(model_version) +
                     "; train it again");

  ShiftModelSettings settings;
  MomentEncoderSettings& encoder = settings.encoder;
  encoder.n = static_cast<int>(file.attribute<std::int64_t>("n"));
  encoder.window = static_cast<int>(file.attribute<std::int64_t>("window"));
  encoder.first_branch = counts_of(file.attribute<std::string>("first_branch"));
  encoder.second_branch = counts_of(file.attribute<std::string>("second_branch"));
  encoder.joint = counts_of(file.attribute<std::string>("joint"));
  encoder.dense = counts_of(file.attribute<std::string>("dense"));
  if (file.attribute<std::string>("dense_activation") == "tanh")
    encoder.activation_of_dense = TwoBranchSettings::Dense::tanh;
  settings.power_floor = file.attribute<double>("power_floor");
  const auto& weights = file.array<float>("weights", {0});

  if (!std::all_of(weights.begin(), weights.end(), [](float w) { return std::isfinite(w); }))
    throw InputError(file.source + ": weights: some are not finite; train the model again");

  try {
    ShiftModel model(ctx, settings);
    if (static_cast<Index>(weights.size()) != model.parameters().count())
      throw InputError(file.source + ": weights: there are " + std::to_string(weights.size()) +
                       " numbers where the layers have " +
                       std::to_string(model.parameters().count()) + "; train the model again");
    copy<float, 1>(ctx, upload_as<float>(ctx, weights), model.parameters().values());
    if (facts)
      *facts = {
          .mixture = static_cast<int>(file.attribute<std::int64_t>("mixture")),
          .centres = file.attribute<std::string>("centres"),
          .samples = file.attribute<std::int64_t>("samples"),
          .noise = file.attribute<double>("noise"),
          .errors = {.signal = file.attribute<double>("signal_error"),
                     .density = file.attribute<double>("density_error"),
                     .continuous_signal = file.attribute<double>("continuous_signal_error"),
                     .continuous_density = file.attribute<double>("continuous_density_error")}};
    return model;
  } catch (const std::invalid_argument& error) {
    throw InputError(file.source + ": the layers do not fit together (" + error.what() +
                     "); train the model again");
  }
}

}  // namespace orrery
