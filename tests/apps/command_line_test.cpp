#include "apps/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "apps/evaluate/options.hpp"
#include "apps/moments/options.hpp"
#include "apps/mra/reconstruct.hpp"
#include "apps/mra/reproduce.hpp"
#include "apps/mra/simulate.hpp"
#include "apps/output_folder.hpp"
#include "apps/reconstruct/options.hpp"
#include "apps/simulate/options.hpp"
#include "tests/support/expect_input_error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery {
namespace {

using test::input_error_of;
using testing::HasSubstr;
using Words = std::vector<std::string>;

/// A program with an option of each kind.
struct Example {
  double width = 2;
  std::string colour = "red";
  bool halves = true;
  std::optional<bool> whiten;
  CLI::App app{"an example", "example"};

  explicit Example(Words words = {}) {
    set_form(app);
    app.add_option("--width", width)->check(positive());
    app.add_option("--height")->check(not_negative());
    app.add_option("--steps")->check(between(-1, 10000000));
    app.add_option("--colour", colour)->check(one_of({"red", "blue"}));
    add_choice(app, "--halves,!--no-halves", halves, "");
    add_choice(app, "--whiten,!--no-whiten", whiten, "");
    parse(app, std::move(words));
  }
};

TEST(CommandLine, SaysWhatAValueHasToBe) {
  const auto refusal = [](Words words) { return input_error_of([&] { Example{words}; }); };
  EXPECT_EQ(refusal({"--width", "0"}),
            "--width: must be a number above 0, not 0; see example --help");
  EXPECT_THAT(refusal({"--height=-1"}), HasSubstr("--height: must be a number of at least 0"));
  EXPECT_THAT(refusal({"--steps", "1e8"}), HasSubstr("must be a number from -1 to 10000000,"));
  EXPECT_THAT(refusal({"--colour", "pink"}), HasSubstr("must be one of red, blue, not pink"));
  EXPECT_THAT(refusal({"--size", "3"}), HasSubstr("--size"));
  EXPECT_THAT(refusal({"--whiten=auto"}), HasSubstr("must be true or false, not auto"));
  for (const std::string option : {"--width", "--height", "--steps"})
    for (const std::string word : {"nan", "inf", "-inf", "1e999", "many"})
      EXPECT_THAT(refusal({option, word}), HasSubstr(option + ": must be a number")) << word;
  EXPECT_EQ(Example({"--width", "3", "--width", "+4.5"}).width, 4.5);
}

TEST(CommandLine, RecordsEveryChoiceSoThatItCanBeReadAgain) {
  const test::TemporaryFolder folder;
  const auto file = (folder / "config.toml").string();
  for (const Words& words : {Words{}, Words{"--halves"}, Words{"--no-halves", "--no-whiten"}}) {
    const Example first(words);
    EXPECT_EQ(first.halves, words.size() < 2);
    std::ofstream(file) << deciding_lines(config_text(first.app), {first.whiten ? "" : "whiten"});
    const Example again({"--config", file});
    EXPECT_EQ(again.halves, first.halves);
    EXPECT_EQ(again.whiten, first.whiten);
  }
  // Left open is neither: a checkpoint of the one is not one of the other.
  EXPECT_NE(config_text(Example().app), config_text(Example({"--no-whiten"}).app));
}

TEST(CommandLine, KnowsWhatWasAskedFor) {
  const test::TemporaryFolder folder;
  const auto file = (folder / "config.toml").string();
  const auto refusal = [](const Example& example) {
    return input_error_of([&] { refuse_idle(example.app, {"--colour", "--width"}, "at night"); });
  };
  EXPECT_EQ(refusal(Example({"--width", "2"})), "--width: has no effect at night; leave it out");
  EXPECT_THAT(refusal(Example({"--colour=blue"})), HasSubstr("--colour: has no effect"));
  std::ofstream(file) << deciding_lines(config_text(Example().app), {"whiten"});
  EXPECT_NO_THROW(refuse_idle(Example({"--config", file}).app, {"--colour", "--width"}, ""));
  std::ofstream(file) << "width=3\n";
  EXPECT_THAT(refusal(Example({"--config", file})), HasSubstr("--width"));
}

TEST(CommandLine, ResumedRunsHaveTheirOwnOptions) {
  const test::TemporaryFolder folder;
  const auto in = [&](const Words& more) {
    Words words = {"train", "-o", folder.path().string()};
    words.insert(words.end(), more.begin(), more.end());
    return with_resumed_options(words, "elsewhere").size() - words.size();
  };
  EXPECT_EQ(in({"--resume"}), 0u);
  std::ofstream(folder / "config.toml") << "\n";
  EXPECT_EQ(in({"--resume"}), 2u);
  EXPECT_EQ(in({"--resume", "--batch", "3"}), 2u);
  EXPECT_EQ(in({}), 0u);
  EXPECT_EQ(in({"--resume", "--config", "mine.toml"}), 0u);
}

TEST(CommandLine, DecidingLinesAreAllButThoseOfTheMachine) {
  EXPECT_EQ(deciding_lines("output=\"a\"\nseed=1\nthreads=2\ndevice=\"cpu\"\ncheckpoint-seconds=6\n"
                           "datadir=\"b\"\noutputs=3\n",
                           {"datadir"}),
            "seed=1\noutputs=3\n");
}

/// What a program says of these words.
std::string refusal(const std::string& program, const Words& words) {
  return input_error_of([&] {
    Options reconstruction;
    SimulateOptions simulation;
    MomentsOptions moments;
    EvaluateOptions evaluation;
    if (program == "reconstruct") parse_options(words, reconstruction);
    if (program == "simulate") parse_options(words, simulation);
    if (program == "moments") parse_options(words, moments);
    if (program == "evaluate") parse_options(words, evaluation);
    if (program != "mra") return;
    CLI::App app{"", "mra"};
    set_form(app);
    add_simulate(app);
    add_reconstruct(app);
    add_reproduce(app);
    parse(app, words);
  });
}

struct Mistake {
  std::string program;
  Words words;
  std::string message;  // part of it
};

TEST(CommandLines, NeverPassOverAnOption) {
  const test::TemporaryFolder folder;
  const auto misspelt = (folder / "misspelt.toml").string();
  std::ofstream(misspelt) << "imges=3\n";
  for (const auto& [program, words, message] : std::vector<Mistake>{
           {"simulate", {"--config", misspelt}, "imges"},
           {"simulate", {"-o", "a.star", "--views", "v", "--view-mixture", "3"}, "beside --views"},
           {"simulate", {"-o", "a.star", "--resolution", "3"}, "--resolution: has no effect"},
           {"simulate", {"--moments-only", "--images-per-stack", "9"}, "--images-per-stack: has"},
           {"simulate", {"-o", "a.star", "--precision", "fp32"}, "without --moments-only"},
           {"reconstruct", {"--views", "v", "--view-mixture", "3"}, "beside --views"},
           {"reconstruct", {"--moments", "m", "--view-mixture", "3"}, "on moments of images"},
           {"reconstruct", {"--moments", "m", "--voxel-size", "2"}, "without --volume"},
           {"reconstruct",
            {"--density-prior", "known", "--density-rate", "2"},
            "--density-rate: has"},
           {"reconstruct", {"--penalty", "0", "--support", "0.4"}, "beside --penalty 0"},
           {"evaluate", {"a", "b", "--mask-radius", "nan"}, "--mask-radius: must be a number"},
           {"evaluate", {"a", "b", "--box", "10"}, "--box 10: must be odd and at least 5; give 9"},
           {"evaluate", {"a", "b", "--overwrite"}, "--overwrite: has no effect without -o"},
           {"evaluate", {"a"}, "see evaluate --help"},
           {"moments", {"a.star", "--box", "4"}, "--box 4: must be odd and at least 5; give 5"},
           {"moments", {"a.star", "--pixel-size", "inf"}, "--pixel-size: must be a number above 0"},
           {"mra",
            {"simulate", "--exact", "--noise-sigma", "1"},
            "--noise-sigma: has no effect beside --exact"},
           {"mra", {"reproduce", "figure4", "--pairs", "9"}, "--pairs: has no effect on figure4"},
           {"mra", {"reproduce", "table1", "--model", "m"}, "--model: has no effect on table1"},
           {"mra",
            {"reconstruct", "m.h5", "--method", "least-squares", "--iterations", "9"},
            "--iterations: has no effect with --method least-squares"},
           {"mra", {"reconstruct", "m.h5", "--init", "--starts", "9"}, "--starts: has no effect"},
       })
    EXPECT_THAT(refusal(program, words), HasSubstr(message)) << program;
}

}  // namespace
}  // namespace orrery
