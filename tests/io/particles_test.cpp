#include "io/particles.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numbers>

#include "geometry/rotation.hpp"
#include "io/files.hpp"
#include "io/image_stack.hpp"
#include "kernels/ctf.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::io {
namespace {

using test::input_error_of;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// A structured array as numpy.save writes it, field by field: `row` is given its rows' bytes.
std::string structured_array(const std::string& fields, int rows, const std::string& bytes) {
  std::string dictionary = "{'descr': [" + fields + "], 'fortran_order': False, 'shape': (" +
                           std::to_string(rows) + ",), }";
  dictionary.resize((dictionary.size() + 10 + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  dictionary += '\n';
  const auto length = dictionary.size();
  return std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(length % 256) +
         static_cast<char>(length / 256) + dictionary + bytes;
}

template <class... T>
std::string bytes_of(T... numbers) {
  std::string bytes;
  (bytes.append(reinterpret_cast<const char*>(&numbers), sizeof(numbers)), ...);
  return bytes;
}

class Particles : public testing::Test {
 protected:
  std::filesystem::path save(const std::string& text, const std::string& name = "particles.star") {
    write_text(folder / name, text);
    return folder / name;
  }
  ParticleTable read(const std::string& text, const ParticleReadOptions& options = {}) {
    return read_particles(save(text), options);
  }
  std::string refusal(const std::string& text, const std::string& name = "particles.star") {
    const auto path = save(text, name);
    const auto message = input_error_of([&] { read_particles(path); });
    EXPECT_THAT(message, StartsWith(path.string() + ": "));
    return message;
  }

  TemporaryFolder folder;
};

const std::string optics = R"(
# version 50001
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
"the first group"  1  300.0 2.7 0.1 1.5 64 2
second	7	200.0	0.01	0.07	1.5	64	2 # at another microscope

)";

const std::string with_optics = optics + R"(data_particles

loop_
_rlnAngleRot #1
_rlnImageName #2
_rlnOpticsGroup #3
_rlnDefocusV #4
_rlnDefocusU #5
_rlnDefocusAngle #6
_rlnAngleTilt #7
_rlnAnglePsi #8
_rlnOriginYAngst #9
_rlnOriginXAngst #10
_rlnRandomSubset #11
_rlnPhaseShift #12
  10.5   "000003@a folder/one.mrcs"   1 10100 10000 30 20 -30   2.5  -1.5 1 0
 -11.5	000001@two.mrcs	7	12100.5	12000	-45	21	31	0	0	2	90
     0 000012@'two.mrcs   1 1 1 1 1 1 1 1 0 1
)";

TEST_F(Particles, WithOpticsGroups) {
  const auto table = read(with_optics);
  EXPECT_EQ(table.source, folder / "particles.star");
  EXPECT_TRUE(table.has_ctf && table.has_views && table.has_origins && table.has_halves);
  EXPECT_THAT(table.notes, IsEmpty());
  ASSERT_EQ(table.groups.size(), 2u);
  EXPECT_EQ(table.groups[0].name, "the first group");
  EXPECT_EQ(table.groups[0].pixel_size, 1.5);
  EXPECT_EQ(table.groups[1].image_size, 64);
  EXPECT_THAT(table.stacks,
              ElementsAre(folder / "a folder/one.mrcs", folder / "two.mrcs", folder / "'two.mrcs"));
  ASSERT_EQ(table.particles.size(), 3u);
  const auto& a = table.particles[0];
  EXPECT_EQ(a.stack, 0);
  EXPECT_EQ(a.image, 2);
  EXPECT_EQ(a.group, 0);
  EXPECT_THAT((std::vector{a.rot, a.tilt, a.psi, a.origin_x, a.origin_y}),
              ElementsAre(10.5, 20, -30, -1.5, 2.5));
  EXPECT_EQ(a.half, 1);
  EXPECT_EQ(a.ctf.defocus_u, 10000);
  EXPECT_EQ(a.ctf.defocus_v, 10100);
  EXPECT_EQ(a.ctf.voltage, 300);
  EXPECT_EQ(a.ctf.scale, 1);
  EXPECT_EQ(a.ctf.b_factor, 0);
  const auto& b = table.particles[1];
  EXPECT_EQ(b.group, 1);
  EXPECT_EQ(b.half, 2);
  EXPECT_EQ(b.ctf.voltage, 200);
  EXPECT_EQ(b.ctf.spherical_aberration, 0.01);
  EXPECT_EQ(b.ctf.amplitude_contrast, 0.07);
  EXPECT_EQ(b.ctf.phase_shift, 90);
  EXPECT_EQ(b.ctf.defocus_angle, -45);
}

TEST_F(Particles, OfOneTableAreGroupedByTheirOptics) {
  const std::string header =
      "data_\n\nloop_\n_rlnImageName\n_rlnVoltage\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\n"
      "_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnMagnification\n_rlnDetectorPixelSize\n"
      "_rlnOriginX\n_rlnOriginY\n";
  const auto table = read(header +
                          "1@a.mrcs 300 1 2 3 2.7 0.1 40000 5 2 -4\n"
                          "2@a.mrcs 200 1 2 3 2.7 0.1 40000 5 0 0\n"
                          "3@a.mrcs 300 1 2 3 2.7 0.1 40000 5 0 0\n");
  EXPECT_EQ(table.groups.size(), 2u);
  EXPECT_DOUBLE_EQ(table.groups[0].pixel_size, 1.25);
  EXPECT_EQ(table.particles[1].group, 1);
  EXPECT_EQ(table.particles[2].group, 0);
  EXPECT_EQ(table.particles[0].origin_x, 2.5);  // angstrom
  EXPECT_EQ(table.particles[0].origin_y, -5);
  EXPECT_FALSE(table.has_views || table.has_halves);
  const auto rescaled = read(header + "1@a.mrcs 300 1 2 3 2.7 0.1 40000 5 2 -4\n",
                             {.data_folder = {}, .pixel_size = 2});
  EXPECT_EQ(rescaled.groups[0].pixel_size, 2);
  EXPECT_EQ(rescaled.particles[0].origin_x, 4);
}

TEST_F(Particles, NeedNoMoreThanAnImage) {
  const auto table = read("data_images\nloop_\n_rlnImageName #1\n4@a.mrcs\na.mrcs\n");
  EXPECT_FALSE(table.has_ctf || table.has_views || table.has_origins || table.has_halves);
  EXPECT_EQ(table.particles[0].image, 3);
  EXPECT_EQ(table.particles[1].image, 0);
  EXPECT_EQ(table.groups.size(), 1u);
  EXPECT_EQ(table.groups[0].pixel_size, 0);
  EXPECT_THAT(table.notes, ElementsAre(HasSubstr("no defocus")));
}

TEST_F(Particles, TakeTheirOwnNumbersBeforeTheirGroups) {
  const auto table = read(
      "data_optics\n_rlnOpticsGroup 1\n_rlnOpticsGroupName a\n_rlnVoltage 300\n_rlnImagePixelSize "
      "1.5\n_rlnSphericalAberration 2.7\n_rlnBeamTiltX 0\n_rlnMagMat00 1.01\n"
      "data_particles\nloop_ _rlnImageName _rlnVoltage _rlnDefocusU _rlnDefocusV _rlnDefocusAngle "
      "_rlnAmplitudeContrast _rlnImagePixelSize _rlnAnglePsi\n1@a.mrcs 120 1 2 3 0.2 9 8\n");
  EXPECT_EQ(table.particles[0].ctf.voltage, 120);
  EXPECT_EQ(table.particles[0].ctf.spherical_aberration, 2.7);
  EXPECT_EQ(table.groups[0].pixel_size, 1.5);  // but for the pixel size, which is the group's
  EXPECT_THAT(table.notes, ElementsAre(HasSubstr("not corrected for: rlnMagMat00"),
                                       HasSubstr("views are taken as unknown")));
}

TEST_F(Particles, OfStarFilesAreRefusedByColumnAndLine) {
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("data_\n"), AllOf(HasSubstr("_rlnImageName"), HasSubstr("no tables")));
  EXPECT_THAT(refusal("data_micrographs\nloop_\n_rlnMicrographName\na.mrc\n"),
              AllOf(HasSubstr("_rlnImageName"), HasSubstr("it has data_micrographs")));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n"), HasSubstr("has no rows"));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n0@a.mrcs\n"),
              HasSubstr("line 4: column _rlnImageName: \"0@a.mrcs\" should be"));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\nx@a.mrcs\n"), HasSubstr("\"x@a.mrcs\""));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n1@\n"), HasSubstr("\"1@\""));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n_rlnDefocusU\n1@a 1\n"),
              HasSubstr("in part: columns _rlnDefocusV, _rlnDefocusAngle, _rlnVoltage, "
                        "_rlnSphericalAberration, _rlnAmplitudeContrast are missing"));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n_rlnRandomSubset\n1@a 3\n"),
              HasSubstr("line 5: rlnRandomSubset is 3"));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n_rlnOriginX\n_rlnOriginY\n1@a 3 3\n"),
              HasSubstr("give --pixel-size"));
  EXPECT_THAT(refusal("data_\nloop_\n_rlnImageName\n_rlnImagePixelSize\n1@a 0\n"),
              HasSubstr("pixel size 0 is not a positive"));
  const std::string views = "data_\nloop_\n_rlnImageName\n_rlnAngleRot\n_rlnAngleTilt\n";
  EXPECT_THAT(refusal(views + "_rlnAnglePsi\n1@a 1 2 3\n2@a 1 nan 3\n"),
              HasSubstr("line 8: column _rlnAngleTilt: nan is not a finite number"));
  EXPECT_THAT(refusal(views + "_rlnAnglePsi\n1@a 1 2 3\n2@a 1 x 3\n"),
              HasSubstr("line 8: column _rlnAngleTilt: \"x\" is not a number"));
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_THAT(refusal(replaced(with_optics, "two.mrcs\t7", "two.mrcs\t8")),
              HasSubstr("optics group 8 is not in the optics table"));
  EXPECT_THAT(refusal(replaced(with_optics, "second\t7", "second\t1")),
              HasSubstr("optics group 1 is there twice"));
  EXPECT_THAT(refusal(replaced(with_optics, "_rlnOpticsGroup #3", "_rlnOther #3")),
              HasSubstr("no column _rlnOpticsGroup"));
  EXPECT_THAT(refusal(replaced(with_optics, "300.0", "300000")), HasSubstr("should be in kV"));
  EXPECT_THAT(refusal(replaced(with_optics, "0.07", "1.0")), HasSubstr("amplitude contrast is 1"));
  EXPECT_THAT(refusal(replaced(with_optics, "64 2", "64 3")), HasSubstr("subtomograms"));
  EXPECT_THAT(refusal(replaced(with_optics, "rlnImageSize", "rlnCtfDataAreCtfPremultiplied")),
              HasSubstr("multiplied by their CTF"));
  EXPECT_THAT(refusal("no kind of file", "particles.txt"), HasSubstr("neither a STAR file"));
  EXPECT_THAT(input_error_of([&] { read_particles(folder / "absent.star"); }),
              HasSubstr("no such file"));
  EXPECT_THAT(input_error_of([&] {
                read_particles(save(with_optics), {.data_folder = {}, .pixel_size = -1});
              }),
              HasSubstr("pixel size -1 is not"));
}

TEST_F(Particles, WhoseRowsSayHowLargeTheirPixelsAre) {
  const std::string first =
      "data_optics\nloop_\n_rlnOpticsGroup\n_rlnOpticsGroupName\n1 a\n"
      "data_particles\nloop_\n_rlnImageName\n_rlnOpticsGroup\n_rlnPixelSize\n1@a.mrcs 1 1.5\n";
  EXPECT_EQ(read(first + "2@a.mrcs 1 1.5\n").groups[0].pixel_size, 1.5);
  EXPECT_THAT(refusal(first + "2@a.mrcs 1 2.5\n"),
              HasSubstr("give them optics groups of their own"));
}

TEST_F(Particles, FindTheirStacks) {
  const auto touch = [&](const std::string& name) {
    const auto path = folder / name;
    std::filesystem::create_directories(path.parent_path());
    write_text(path, "x");
  };
  touch("project/Extract/job1/a.mrcs");
  touch("data/b.mrcs");
  touch("data/Extract/c.mrcs");
  std::filesystem::create_directories(folder / "project/Refine/job2");
  const auto star = save(
      "data_\nloop_\n_rlnImageName\n1@Extract/job1/a.mrcs\n1@Elsewhere/b.mrcs\n1@Extract/c.mrcs\n"
      "1@Extract/job1/a.mrcs\n1@nowhere.mrcs\n",
      "project/Refine/job2/particles.star");
  const auto alone = read_particles(star);
  EXPECT_EQ(alone.stacks.size(), 4u);
  EXPECT_EQ(alone.particles[3].stack, 0);
  EXPECT_EQ(alone.stacks[0], folder / "project/Extract/job1/a.mrcs");
  EXPECT_EQ(alone.stacks[3], folder / "project/Refine/job2/nowhere.mrcs");  // where it should be
  const auto told = read_particles(star, {.data_folder = folder / "data", .pixel_size = {}});
  EXPECT_THAT(told.stacks,
              ElementsAre(folder / "project/Extract/job1/a.mrcs", folder / "data/b.mrcs",
                          folder / "data/Extract/c.mrcs", folder / "data/nowhere.mrcs"));
}

void expect_equal(const ParticleTable& a, const ParticleTable& b) {
  EXPECT_EQ(a.stacks, b.stacks);
  EXPECT_EQ(std::tuple(a.has_ctf, a.has_views, a.has_origins, a.has_halves),
            std::tuple(b.has_ctf, b.has_views, b.has_origins, b.has_halves));
  ASSERT_EQ(a.particles.size(), b.particles.size());
  for (std::size_t i = 0; i < a.particles.size(); ++i) {
    const auto numbers = [](const Particle& p) {
      const auto& c = p.ctf;
      return std::vector<double>{double(p.stack),
                                 double(p.image),
                                 double(p.half),
                                 p.rot,
                                 p.tilt,
                                 p.psi,
                                 p.origin_x,
                                 p.origin_y,
                                 c.voltage,
                                 c.spherical_aberration,
                                 c.amplitude_contrast,
                                 c.defocus_u,
                                 c.defocus_v,
                                 c.defocus_angle,
                                 c.phase_shift,
                                 c.b_factor,
                                 c.scale};
    };
    EXPECT_EQ(numbers(a.particles[i]), numbers(b.particles[i])) << i;
    const auto group = [&](const ParticleTable& table) {
      return table.groups[static_cast<std::size_t>(table.particles[i].group)];
    };
    EXPECT_EQ(group(a).pixel_size, group(b).pixel_size);
    EXPECT_EQ(group(a).image_size, group(b).image_size);
  }
}

TEST_F(Particles, ReadBackAsTheyWereWritten) {
  auto table = read(with_optics);
  table.particles[0].ctf.b_factor = 1. / 3;
  table.particles[2].ctf.voltage = 80;  // no longer its group's
  write_particles(folder / "written.star", table);
  auto read_back = read_particles(folder / "written.star");
  expect_equal(table, read_back);
  EXPECT_EQ(read_back.groups.size(), 3u);
  EXPECT_EQ(read_back.groups[2].name, "the first group_2");
  EXPECT_THAT(
      read_text(folder / "written.star"),
      AllOf(StartsWith("\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n"),
            HasSubstr("\"000003@a folder/one.mrcs\" 1 "), HasSubstr("\n000001@two.mrcs 2 ")));

  table.has_ctf = table.has_views = table.has_origins = table.has_halves = false;
  table.stacks[1] = "/elsewhere/two.mrcs";
  for (auto& particle : table.particles) {
    const auto bare = particle;
    particle = {};
    particle.stack = bare.stack;
    particle.image = bare.image;
    particle.group = bare.group;
  }
  write_particles(folder / "bare.star", table);
  EXPECT_THAT(read_text(folder / "bare.star"), HasSubstr("000001@/elsewhere/two.mrcs 2\n"));
  expect_equal(table, read_particles(folder / "bare.star"));

  table.particles[1].stack = 3;
  EXPECT_THROW(write_particles(folder / "bad.star", table), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(folder / "bad.star"));
}

TEST_F(Particles, OfAStackAloneAreItsImages) {
  {
    ImageStackWriter stack(folder / "a.mrcs", 3, 1.5);
    stack.append(Tensor<float, 3>::zeros(Context::cpu(1), 4, 3, 3).view());
    stack.close();
  }
  for (const char* name : {"a.mrcs", "b.unusual"}) {
    if (name[0] == 'b') std::filesystem::rename(folder / "a.mrcs", folder / name);
    const auto table = read_particles(folder / name);
    EXPECT_EQ(table.particles.size(), 4u);
    EXPECT_EQ(table.particles[3].image, 3);
    EXPECT_EQ(table.groups[0].pixel_size, 1.5);
    EXPECT_EQ(table.groups[0].image_size, 3);
    EXPECT_FALSE(table.has_ctf || table.has_views || table.has_origins || table.has_halves);
    EXPECT_THAT(table.notes, ElementsAre(HasSubstr("a stack alone")));
  }
}

const std::string cryosparc_fields =
    "('uid', '<u8'), ('blob/path', '|S12'), ('blob/idx', '<u4'), ('blob/shape', '<u4', (2,)), "
    "('blob/psize_A', '<f4'), ('ctf/accel_kv', '<f4'), ('ctf/cs_mm', '<f4'), "
    "('ctf/amp_contrast', '<f4'), ('ctf/df1_A', '<f4'), ('ctf/df2_A', '>f4'), "
    "('ctf/df_angle_rad', '<f8'), ('ctf/phase_shift_rad', '<f4'), ('ctf/anisomag', '<f4', (4,)), "
    "('alignments3D/split', '<u4'), ('alignments3D/shift', '<f4', (2,)), "
    "('alignments3D/pose', '<f4', (3,)), ('alignments3D/psize_A', '<f4')";

std::string cryosparc_row(const char* path, std::uint32_t image, std::uint32_t split,
                          const Vector3& pose) {
  std::string name(path);
  name.resize(12, '\0');
  auto big = std::bit_cast<std::array<char, 4>>(12500.f);
  std::reverse(big.begin(), big.end());
  return bytes_of(std::uint64_t{99}) + name +
         bytes_of(image, std::uint32_t{64}, std::uint32_t{64}, 1.5f, 300.f, 2.7f, 0.1f, 12000.f) +
         std::string(big.data(), 4) + bytes_of(std::numbers::pi / 6, float(std::numbers::pi / 2)) +
         bytes_of(0.f, 0.f, 0.f, 0.f) + bytes_of(split, 2.f, -3.f, float(pose[0]), float(pose[1])) +
         bytes_of(float(pose[2]), 3.f);
}

TEST_F(Particles, OfCryosparc) {
  const Vector3 pose = {0.3, -1.1, 0.7};
  const auto table = read_particles(
      save(structured_array(cryosparc_fields, 2,
                            cryosparc_row(">J1/a.mrcs", 4, 0, pose) +
                                cryosparc_row("b.mrcs", 0, 1, {0, 0, std::numbers::pi / 2})),
           "particles.cs"));
  EXPECT_TRUE(table.has_ctf && table.has_views && table.has_origins && table.has_halves);
  EXPECT_THAT(table.notes, IsEmpty());
  EXPECT_THAT(table.stacks, ElementsAre(folder / "J1/a.mrcs", folder / "b.mrcs"));
  ASSERT_EQ(table.particles.size(), 2u);
  EXPECT_EQ(table.groups.size(), 1u);
  EXPECT_EQ(table.groups[0].pixel_size, 1.5);
  EXPECT_EQ(table.groups[0].image_size, 64);
  const auto& a = table.particles[0];
  EXPECT_EQ(a.image, 4);
  EXPECT_EQ(a.half, 1);
  EXPECT_EQ(table.particles[1].half, 2);
  EXPECT_EQ(a.ctf.defocus_u, 12000);
  EXPECT_EQ(a.ctf.defocus_v, 12500);
  EXPECT_NEAR(a.ctf.defocus_angle, 30, 1e-12);
  EXPECT_NEAR(a.ctf.phase_shift, 90, 1e-5);
  EXPECT_EQ(a.ctf.voltage, 300);
  EXPECT_EQ(a.origin_x, 6);  // pixels of 3 angstrom
  EXPECT_EQ(a.origin_y, -9);
  // A quarter turn about z of the plane in the volume: its x axis lies along the volume's y.
  const auto& b = table.particles[1];
  const auto plane = transposed(from_euler({b.rot, b.tilt, b.psi}));
  EXPECT_NEAR((plane * Vector3{1, 0, 0})[1], 1, 1e-6);
  EXPECT_LT(
      angle_between(transposed(from_euler({a.rot, a.tilt, a.psi})), from_rotation_vector(pose)),
      1e-6);
}

TEST_F(Particles, OfCryosparcAreRefusedByFieldAndRow) {
  const auto refused = [&](const std::string& bytes) { return refusal(bytes, "particles.cs"); };
  const auto row = cryosparc_row("a.mrcs", 0, 0, {0, 0, 1});
  const auto whole = structured_array(cryosparc_fields, 1, row);
  EXPECT_THAT(refused("text"), HasSubstr("is no NumPy array"));
  EXPECT_THAT(refused(whole.substr(0, 200)), HasSubstr("ends inside the NPY header"));
  EXPECT_THAT(refused(whole.substr(0, whole.size() - 1)), HasSubstr("truncated"));
  EXPECT_THAT(refused(whole + "x"), HasSubstr("too long"));
  EXPECT_THAT(refused(structured_array(cryosparc_fields, 0, "")), HasSubstr("has no particles"));
  EXPECT_THAT(refused(structured_array("('uid', '<u8')", 1, bytes_of(std::uint64_t{1}))),
              AllOf(HasSubstr("blob/path and blob/idx"), HasSubstr("passthrough")));
  EXPECT_THAT(refused(structured_array("('a', '|O')", 1, "12345678")), HasSubstr("cannot be read"));
  EXPECT_THAT(refused(structured_array("('a', '<f2')", 1, "12")), HasSubstr("\"<f2\""));
  EXPECT_THAT(refused(structured_array("'a'", 1, "12")), HasSubstr("cannot be read"));
  const auto with = [&](const std::string& from, const std::string& to) {
    auto fields = cryosparc_fields;
    fields.replace(fields.find(from), from.size(), to);
    return structured_array(fields, 1, row);
  };
  EXPECT_THAT(refused(with("ctf/cs_mm", "ctf/other")), HasSubstr("in part: ctf/cs_mm is missing"));
  EXPECT_THAT(refused(with("'alignments3D/pose', '<f4', (3,)", "'alignments3D/pose', '|S12'")),
              HasSubstr("alignments3D/pose should hold 3 numbers"));
  const auto particle = [&](Vector3 pose) {
    return refused(structured_array(cryosparc_fields, 2, row + cryosparc_row("a", 0, 0, pose)));
  };
  EXPECT_THAT(particle({0, NAN, 0}), HasSubstr("particle 2: alignments3D/pose is not finite"));
  EXPECT_THAT(refused(structured_array(cryosparc_fields, 1, cryosparc_row("", 0, 0, {0, 0, 0}))),
              HasSubstr("particle 1: blob/path is empty"));
}

TEST_F(Particles, OfTheCollectionAreReadOrRefused) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";

  struct Expected {
    const char* name;
    std::size_t count, groups;
    double pixel_size;
    bool has_ctf, has_views, has_origins, has_halves;
  };
  for (const auto& e :
       {Expected{"empiar_10076_7.star", 7, 1, 1.31, true, false, false, false},
        Expected{"empiar_10076_7.cs", 7, 1, 1.31, true, false, false, false},
        Expected{"empiar_10076_7.mrc", 7, 1, 0, false, false, false, false},
        Expected{"rln_proj_64_centered.star", 4, 1, 1, false, true, true, false},
        Expected{"rln_proj_64_shifted.star", 4, 1, 1, false, true, true, false},
        Expected{"rln_proj_65_centered.star", 4, 1, 1, false, true, true, false},
        Expected{"rln_proj_65_shifted.star", 4, 1, 1, false, true, true, false},
        Expected{"rln_proj_64_centered.mrcs", 4, 1, 1, false, false, false, false},
        Expected{"rln_proj_64_shifted.mrcs", 4, 1, 1, false, false, false, false},
        Expected{"rln_proj_65_centered.mrcs", 4, 1, 1, false, false, false, false},
        Expected{"rln_proj_65_shifted.mrcs", 4, 1, 1, false, false, false, false},
        Expected{"sample.mrcs", 17, 1, 0, false, false, false, false},
        Expected{"sample_particles_relion30.star", 17, 2, 1.338, true, true, true, true},
        Expected{"sample_particles_relion31.star", 17, 2, 1.4, true, true, true, true}}) {
    SCOPED_TRACE(e.name);
    const auto table = read_particles(particles / e.name);
    EXPECT_EQ(table.particles.size(), e.count);
    EXPECT_EQ(table.groups.size(), e.groups);
    EXPECT_NEAR(table.groups[0].pixel_size, e.pixel_size, 1e-4);
    EXPECT_EQ(table.has_ctf, e.has_ctf);
    EXPECT_EQ(table.has_views, e.has_views);
    EXPECT_EQ(table.has_origins, e.has_origins);
    EXPECT_EQ(table.has_halves, e.has_halves);
    for (const auto& stack : table.stacks) EXPECT_TRUE(std::filesystem::exists(stack));
  }
  EXPECT_THAT(
      input_error_of([&] { read_particles(particles / "sample_incomplete_ctf_params.star"); }),
      HasSubstr("in part: column _rlnVoltage is missing"));
  EXPECT_THAT(read_particles(particles / "empiar_10076_7.cs").notes,
              ElementsAre(HasSubstr("dark on light")));
}

TEST_F(Particles, OfTheCollectionHaveOneCtfInBothOfTheirFiles) {
  const char* data = std::getenv("ORRERY_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ORRERY_TEST_DATA names no folder of test files";
  const auto particles = std::filesystem::path(data) / "particles";
  if (!std::filesystem::exists(particles)) GTEST_SKIP() << particles << " is not there";
  const Context host = Context::cpu(1);
  constexpr int n = 127;
  const auto ctf_of = [&](const char* name) {
    const auto table = read_particles(particles / name);
    std::vector<CtfParameters> parameters;
    for (const auto& particle : table.particles) parameters.push_back(particle.ctf);
    Tensor<double, 2> c(host, static_cast<Index>(parameters.size()), n * n);
    contrast_transfer<double>(host, {parameters.data(), c.extent(0)}, n,
                              320 * table.groups[0].pixel_size, c);
    return c;
  };
  const auto star = ctf_of("empiar_10076_7.star"), cryosparc = ctf_of("empiar_10076_7.cs");
  ASSERT_EQ(star.size(), cryosparc.size());
  double largest = 0;
  for (Index i = 0; i < star.size(); ++i)
    largest = std::max(largest, std::abs(star.data()[i] - cryosparc.data()[i]));
  EXPECT_LT(largest, 1e-5);
}

}  // namespace
}  // namespace orrery::io
