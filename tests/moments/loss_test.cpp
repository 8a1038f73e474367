#include "moments/loss.hpp"

#include <cmath>
#include <limits>

#include "kernels/check.hpp"
#include "kernels/shift_blur.hpp"
#include "tests/support/backends.hpp"
#include "tests/support/compare.hpp"
#include "tests/support/threads_as_processes.hpp"

namespace orrery::test {
namespace {

const Context cpu = Context::cpu();
constexpr LossKind every_kind[] = {LossKind::absolute, LossKind::relative, LossKind::squared};

struct Model {
  Tensor<double, 2> slices;
  Tensor<double, 1> weights;

  Model(Index count, Index d, std::uint64_t seed)
      : slices(random_tensor<double>(seed, count, d)),
        weights(random_tensor<double>(seed + 1, count)) {
    for (double& z : weights.view()) z = 0.2 + z * z;
  }
};

struct Moments {
  Tensor<double, 1> first;
  Tensor<double, 2> second;
};

/// M1 = sum_j z_j h_j,  M2 = sum_j z_j h_j h_j^T
Moments moments_of(const Model& model) {
  const Index d = model.slices.extent(1);
  Moments m{Tensor<double, 1>::zeros(cpu, d), Tensor<double, 2>::zeros(cpu, d, d)};
  for (Index j = 0; j < model.slices.extent(0); ++j)
    for (Index i = 0; i < d; ++i) {
      m.first(i) += model.weights(j) * model.slices(j, i);
      for (Index e = 0; e < d; ++e)
        m.second(i, e) += model.weights(j) * model.slices(j, i) * model.slices(j, e);
    }
  return m;
}

TargetMoments<double> target_of(const Model& model) {
  Moments m = moments_of(model);
  return make_target<double>(cpu, std::move(m.first), std::move(m.second));
}

struct Evaluation {
  MomentErrors errors;
  Tensor<double, 2> dslices;
  Tensor<double, 1> dweights;
};

Evaluation evaluate(const LossSettings& settings, const TargetMoments<double>& target,
                    const Model& model, MomentScratch<double>& scratch) {
  Evaluation e{{},
               tensor_like<double>(cpu, model.slices.view()),
               tensor_like<double>(cpu, model.weights.view())};
  e.errors = moment_loss<double>(cpu, settings, target, model.slices, model.weights, scratch,
                                 e.dslices, e.dweights);
  return e;
}

TEST(MomentLoss, IsTheFormula) {
  const Model truth(7, 9, 1), model(12, 9, 5);
  const auto target = target_of(truth);
  const Moments expected = moments_of(truth), found = moments_of(model);
  // ||M1^ - M1||, ||M1^||, and the same of M2
  double difference1 = 0, norm1 = 0, difference2 = 0, norm2 = 0;
  for (Index i = 0; i < 9; ++i) {
    difference1 += std::pow(expected.first(i) - found.first(i), 2);
    norm1 += std::pow(expected.first(i), 2);
    for (Index e = 0; e < 9; ++e) {
      difference2 += std::pow(expected.second(i, e) - found.second(i, e), 2);
      norm2 += std::pow(expected.second(i, e), 2);
    }
  }
  const double r1 = std::sqrt(difference1), r2 = std::sqrt(difference2);
  const double e1 = std::sqrt(difference1 / norm1), e2 = std::sqrt(difference2 / norm2);
  const double lambda = 0.3;
  const double losses[] = {r1 + lambda * r2, e1 + lambda * e2, e1 * e1 + lambda * e2 * e2};
  MomentScratch<double> scratch;
  for (int kind = 0; kind < 3; ++kind) {
    const auto errors = evaluate({every_kind[kind], lambda}, target, model, scratch).errors;
    EXPECT_NEAR(errors.first, e1, 1e-13 * e1);
    EXPECT_NEAR(errors.second, e2, 1e-13 * e2);
    EXPECT_NEAR(errors.loss, losses[kind], 1e-13 * losses[kind]);
  }
}

// However many processes share the slices, and however unevenly.
TEST(MomentLoss, OfSharedSlicesIsThatOfAll) {
  const Model truth(7, 9, 1), model(11, 9, 5);
  for (bool blurred : {false, true})
    for (int count : {2, 3}) {
      auto target = target_of(truth);
      if (blurred) target.blur = shift_blur_factors<double>(cpu, 3, 0.1);
      MomentScratch<double> scratch;
      const LossSettings settings{LossKind::relative, 0.3};
      const auto whole = evaluate(settings, target, model, scratch);
      run_as_processes(count, [&](Processes& processes) {
        const auto [first, own] = processes.share_of(model.slices.extent(0));
        const auto slices = model.slices.view().rows(first, own);
        const auto weights = model.weights.view().rows(first, own);
        auto dslices = tensor_like<double>(cpu, slices);
        auto dweights = tensor_like<double>(cpu, weights);
        MomentScratch<double> own_scratch;
        const auto errors = moment_loss<double>(cpu, settings, target, slices, weights, own_scratch,
                                                dslices, dweights, processes);
        EXPECT_NEAR(errors.first, whole.errors.first, 1e-13);
        EXPECT_NEAR(errors.second, whole.errors.second, 1e-13);
        EXPECT_NEAR(errors.loss, whole.errors.loss, 1e-13);
        EXPECT_LT(relative_difference(dslices.view(), whole.dslices.view().rows(first, own)),
                  1e-12);
        EXPECT_LT(relative_difference(dweights.view(), whole.dweights.view().rows(first, own)),
                  1e-12);
      });
    }
}

/// The truth's own slices under its weights are factors of its second moment.
TargetMoments<double> factored_target_of(const Model& model, double remainder) {
  Moments m = moments_of(model);
  auto factors = tensor_like<double>(cpu, model.slices.view());
  auto strengths = tensor_like<double>(cpu, model.weights.view());
  copy<double, 2>(cpu, model.slices, factors);
  copy<double, 1>(cpu, model.weights, strengths);
  return make_factored_target<double>(cpu, std::move(m.first), std::move(factors),
                                      std::move(strengths), remainder);
}

TEST(MomentLoss, OfATargetByFactorsIsThatOfItsMatrix) {
  const Model truth(7, 9, 1), model(12, 9, 5);
  const auto matrix = target_of(truth), factored = factored_target_of(truth, 0);
  EXPECT_NEAR(factored.second_norm, matrix.second_norm, 1e-12 * matrix.second_norm);
  MomentScratch<double> scratch;
  for (LossKind kind : every_kind) {
    const auto expected = evaluate({kind, 0.3}, matrix, model, scratch);
    const auto found = evaluate({kind, 0.3}, factored, model, scratch);
    EXPECT_NEAR(found.errors.second, expected.errors.second, 1e-12);
    EXPECT_LT(relative_difference(found.dslices, expected.dslices), 1e-12);
    EXPECT_LT(relative_difference(found.dweights, expected.dweights), 1e-12);
  }
}

TEST(MomentLoss, CountsTheRemainderOfATargetByFactors) {
  const Model truth(7, 9, 1);
  Model model(12, 9, 5);
  const double remainder = 3;
  const auto whole = factored_target_of(truth, 0), target = factored_target_of(truth, remainder);
  EXPECT_NEAR(std::pow(target.second_norm, 2), std::pow(whole.second_norm, 2) + 9, 1e-9);
  MomentScratch<double> scratch;
  const LossSettings settings{LossKind::relative, 0.4};
  const auto at = evaluate(settings, target, model, scratch);
  const double without =
      evaluate(settings, whole, model, scratch).errors.second * whole.second_norm;
  EXPECT_NEAR(std::pow(at.errors.second * target.second_norm, 2),
              without * without + remainder * remainder, 1e-9);
  auto loss = [&] { return evaluate(settings, target, model, scratch).errors.loss; };
  expect_gradient(loss, model.slices.view().flat(), at.dslices.view().flat());
  expect_gradient(loss, model.weights.view(), at.dweights.view());
}

TEST(MomentLoss, GradientsMatchDifferences) {
  const auto target = target_of(Model(7, 9, 1));
  Model model(12, 9, 5);
  MomentScratch<double> scratch;
  for (LossKind kind : every_kind) {
    const LossSettings settings{kind, 0.4};
    const auto at = evaluate(settings, target, model, scratch);
    auto loss = [&] { return evaluate(settings, target, model, scratch).errors.loss; };
    expect_gradient(loss, model.slices.view().flat(), at.dslices.view().flat());
    expect_gradient(loss, model.weights.view(), at.dweights.view());
  }
}

/// Unknown shifts blur the model's moments, not the target's: at the truth nothing is left.
TEST(MomentLoss, BlursTheModel) {
  const Model truth(7, 9, 1);
  Moments blurred = moments_of(truth);
  const auto factors = [] { return shift_blur_factors<double>(cpu, 3, 0.2); };
  blur_moments<double>(cpu, factors(), blurred.first, blurred.second);
  auto target = make_target<double>(cpu, std::move(blurred.first), std::move(blurred.second));
  MomentScratch<double> scratch;
  EXPECT_GT(evaluate({}, target, truth, scratch).errors.second, 0.1);
  target.blur = factors();
  EXPECT_LT(evaluate({}, target, truth, scratch).errors.loss, 1e-14);

  Model model(12, 9, 5);
  for (LossKind kind : every_kind) {
    const LossSettings settings{kind, 0.4};
    const auto at = evaluate(settings, target, model, scratch);
    auto loss = [&] { return evaluate(settings, target, model, scratch).errors.loss; };
    expect_gradient(loss, model.slices.view().flat(), at.dslices.view().flat());
    expect_gradient(loss, model.weights.view(), at.dweights.view());
  }
}

TEST(MomentLoss, AtTheTruthIsZeroWithFiniteGradients) {
  // Small integers and a weight with an exact root: the model's moments are the target's exactly.
  Model truth(1, 5, 3);
  for (double& h : truth.slices.view()) h = std::round(4 * h);
  truth.weights(0) = 4;
  const auto target = target_of(truth);
  MomentScratch<double> scratch;
  for (LossKind kind : every_kind) {
    const auto at = evaluate({kind, 1}, target, truth, scratch);
    EXPECT_EQ(at.errors.loss, 0);
    for (double g : at.dslices.view()) EXPECT_EQ(g, 0);
    for (double g : at.dweights.view()) EXPECT_EQ(g, 0);
  }
}

TEST(MomentLoss, ScratchServesModelsOfAnySize) {
  MomentScratch<double> scratch;
  for (Index d : {9, 4, 25}) {
    const auto target = target_of(Model(7, d, 1));
    const Model model(6, d, 5);
    MomentScratch<double> fresh;
    EXPECT_EQ(evaluate({}, target, model, scratch).errors.loss,
              evaluate({}, target, model, fresh).errors.loss);
  }
}

TEST(MomentLoss, RejectsWhatDoesNotFit) {
  const auto target = target_of(Model(7, 9, 1));
  const Model other(6, 8, 5);
  MomentScratch<double> scratch;
  EXPECT_THROW(evaluate({}, target, other, scratch), std::invalid_argument);
  EXPECT_THROW(make_target<double>(cpu, Tensor<double, 1>(cpu, 3), Tensor<double, 2>(cpu, 3, 4)),
               std::invalid_argument);
  EXPECT_THROW(
      make_factored_target<double>(cpu, Tensor<double, 1>(cpu, 3), Tensor<double, 2>(cpu, 2, 4),
                                   Tensor<double, 1>(cpu, 2)),
      std::invalid_argument);
}

TEST(MomentLoss, RejectsATargetWithoutNumbers) {
  auto ones = [](auto tensor) {
    for (double& x : tensor.view()) x = 1;
    return tensor;
  };
  auto first = [&] { return ones(Tensor<double, 1>(cpu, 3)); };
  auto second = [&] { return ones(Tensor<double, 2>(cpu, 3, 3)); };
  EXPECT_NO_THROW(make_target<double>(cpu, first(), second()));
  EXPECT_THROW(make_target<double>(cpu, Tensor<double, 1>::zeros(cpu, 3), second()), InputError);
  EXPECT_THROW(make_target<double>(cpu, first(), Tensor<double, 2>::zeros(cpu, 3, 3)), InputError);
  auto not_finite = second();
  not_finite(1, 1) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(make_target<double>(cpu, first(), std::move(not_finite)), InputError);
}

class MomentLossParity : public testing::TestWithParam<BackendUnderTest> {};

TEST_P(MomentLossParity, MatchesTheCpu) {
  ORRERY_REQUIRE_BACKEND(GetParam());
  const Context device = make_context(GetParam());
  auto target = target_of(Model(11, 81, 1));
  target.blur = shift_blur_factors<double>(cpu, 9, 0.05);
  const Model model(70, 81, 5);
  MomentScratch<double> scratch, device_scratch;
  const auto expected = evaluate({}, target, model, scratch);

  auto dslices = tensor_like<double>(device, model.slices.view());
  auto dweights = tensor_like<double>(device, model.weights.view());
  auto device_target =
      make_target<double>(device, upload(device, target.first), upload(device, target.second));
  device_target.blur = upload(device, target.blur);
  const auto errors =
      moment_loss<double>(device, {}, device_target, upload(device, model.slices),
                          upload(device, model.weights), device_scratch, dslices, dweights);
  EXPECT_NEAR(errors.loss, expected.errors.loss, 1e-12);
  EXPECT_LT(relative_difference(download(device, dslices), expected.dslices), 1e-12);
  EXPECT_LT(relative_difference(download(device, dweights), expected.dweights), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Backends, MomentLossParity, testing::ValuesIn(device_backends()),
                         [](const auto& test) { return backend_name(test); });

}  // namespace
}  // namespace orrery::test
