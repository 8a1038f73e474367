#include "apps/reconstruct/collapse.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>

#include "io/mrc.hpp"

namespace orrery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Quadrature small_quadrature() { return make_quadrature(spherical_design(20, true), 4); }

std::vector<double> even_weights(const Quadrature& quadrature) {
  return std::vector<double>(quadrature.view_count(), 1.0 / quadrature.view_count());
}

/// A volume whose density is a function of the distance from the centre, in voxels.
template <class Density>
Volume spherical(int n, const Density& density) {
  Volume v;
  v.n = n;
  v.voxels.resize(std::size_t(n) * n * n);
  const int h = n / 2;
  for (int z = 0; z < n; ++z)
    for (int y = 0; y < n; ++y)
      for (int x = 0; x < n; ++x)
        v.view()(z, y, x) =
            static_cast<float>(density(norm({double(x - h), double(y - h), double(z - h)})));
  return v;
}

std::vector<std::string> warnings(const Volume& volume) {
  const auto quadrature = small_quadrature();
  return collapse_warnings(collapse_figures(volume, quadrature, even_weights(quadrature)));
}

TEST(Collapse, IsNotSeenInGoodVolumes) {
  EXPECT_THAT(warnings(phantom(25)), IsEmpty());
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (!data) GTEST_SKIP() << "ORRERY_TEST_DATA is not set: no real maps to look at";
  for (const char* name :
       {"emd_0409_63", "emd_25892_63", "sim_3sn6_b2ar_gs_63", "clean70SRibosome_vol_65p"}) {
    const auto path = std::filesystem::path(data) / "maps" / (std::string(name) + ".mrc");
    EXPECT_THAT(warnings(io::read_map(path, {.voxel_size = 3}).volume), IsEmpty()) << name;
  }
}

TEST(Collapse, SeesABall) {
  const Volume ball = spherical(25, [](double r) { return std::exp(-r * r / 30); });
  EXPECT_THAT(warnings(ball), ElementsAre(testing::AllOf(HasSubstr("ball"), HasSubstr("99 %"))));
}

TEST(Collapse, SeesAnEmptyShell) {
  const Volume shell = spherical(25, [](double r) { return std::exp(-(r - 9) * (r - 9) / 2); });
  EXPECT_THAT(warnings(shell),
              ElementsAre(testing::AllOf(HasSubstr("empty shell"), HasSubstr("0 %"))));
}

TEST(Collapse, SeesInvertedContrast) {
  Volume inverted = phantom(25);
  for (float& x : inverted.voxels) x = -x;
  EXPECT_THAT(warnings(inverted),
              ElementsAre(testing::AllOf(HasSubstr("inverted"), HasSubstr("100 %"))));
}

TEST(Collapse, SeesASingleView) {
  const auto quadrature = small_quadrature();
  auto weights = even_weights(quadrature);
  const auto even = collapse_figures(phantom(25), quadrature, weights);
  EXPECT_NEAR(even.effective_directions, 20, 1e-9);
  for (std::size_t j = 0; j < weights.size(); ++j)
    weights[j] = quadrature.direction_of[j] == 3 ? 0.25 : 0;
  const auto one = collapse_figures(phantom(25), quadrature, weights);
  EXPECT_NEAR(one.effective_directions, 1, 1e-9);
  EXPECT_THAT(collapse_warnings(one),
              ElementsAre(testing::AllOf(HasSubstr("one view"), HasSubstr("1.0 equally"))));
}

/// A volume of zeros has no power to take shares of.
TEST(Collapse, HasFiguresForNothingAtAll) {
  const auto quadrature = small_quadrature();
  const auto nothing = collapse_figures(spherical(9, [](double) { return 0; }), quadrature,
                                        even_weights(quadrature));
  EXPECT_EQ(nothing.radial_share, 0);
  EXPECT_EQ(nothing.negative_share, 0);
  EXPECT_EQ(nothing.hollowness, 1);
}

}  // namespace
}  // namespace orrery
