#include "apps/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <sstream>

#include "apps/program.hpp"
#include "io/numbers.hpp"
#include "kernels/check.hpp"

namespace orrery {

namespace {

/// `label` is what --help shows beside the option's type.
CLI::Validator demand(const std::string& label, const std::string& what,
                      const std::function<bool(const std::string&)>& is_met) {
  return {[=](const std::string& word) {
            return is_met(word) ? "" : fmt::format("must be {}, not {}", what, word);
          },
          label};
}

CLI::Validator demand_number(const std::string& label, const std::string& what,
                             const std::function<bool(double)>& is_met) {
  return demand(label, "a number " + what, [=](const std::string& word) {
    const auto number = io::parse_number(word);
    return number && std::isfinite(*number) && is_met(*number);
  });
}

}  // namespace

CLI::Validator positive() {
  return demand_number("POSITIVE", "above 0", [](double x) { return x > 0; });
}

CLI::Validator not_negative() {
  return demand_number("NOT NEGATIVE", "of at least 0", [](double x) { return x >= 0; });
}

CLI::Validator between(double least, double most) {
  return demand_number(fmt::format("{:.15g} TO {:.15g}", least, most),
                       fmt::format("from {:.15g} to {:.15g}", least, most),
                       [=](double x) { return least <= x && x <= most; });
}

CLI::Validator one_of(std::vector<std::string> names) {
  const std::string all = fmt::format("{}", fmt::join(names, ", "));
  return demand("{" + all + "}", "one of " + all, [names = std::move(names)](const auto& word) {
    return std::ranges::find(names, word) != names.end();
  });
}

void set_form(CLI::App& app) {
  app.get_formatter()->column_width(34);
  app.option_defaults()->always_capture_default()->take_last();
  app.allow_config_extras(CLI::config_extras_mode::error);
}

void add_run_options(CLI::App& app, RunOptions& o, const std::string& random) {
  app.option_defaults()->group("Run");
  app.add_option("--device", o.device, "auto, cpu, cuda or cuda:1");
  app.add_option("--threads", o.threads, "worker threads; 0 takes all processors")
      ->check(between(0, 4096));
  if (!random.empty()) app.add_option("--seed", o.seed, "of " + random)->check(not_negative());
  app.add_flag("--overwrite", o.overwrite, "replace another run's results")->configurable(false);
  app.add_flag("--quiet", o.quiet, "print warnings and errors only")->configurable(false);
}

void add_checkpoint_options(CLI::App& app, double& seconds, bool& resume) {
  app.add_option("--checkpoint-seconds", seconds, "time between checkpoints")
      ->check(not_negative());
  app.add_flag("--resume", resume, "go on from the last run's checkpoint")->configurable(false);
}

void add_choice(CLI::App& app, const std::string& names, bool& choice,
                const std::string& description) {
  app.add_flag(names, choice, description)->default_str(choice ? "true" : "false");
}

void add_choice(CLI::App& app, const std::string& names, std::optional<bool>& choice,
                const std::string& description) {
  const auto flag = [&choice](std::int64_t count) { choice = count > 0; };
  app.add_flag_function(names, flag, description)
      ->default_str("auto")
      ->check(demand("", "true or false",
                     [](const std::string& word) { return word == "true" || word == "false"; }));
}

std::optional<int> parse(CLI::App& app, std::vector<std::string> words) {
  app.set_config("--config", "", "TOML file with any of these options");
  app.set_version_flag("--version", [&] { return version_text(app.get_name()); });
  std::ranges::reverse(words);  // CLI11 takes them from the back
  try {
    app.parse(std::move(words));
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::RuntimeError& ended) {
    return ended.get_exit_code();
  } catch (const CLI::ParseError& error) {
    throw InputError(fmt::format("{}; see {} --help", error.what(), app.get_name()));
  }
  return std::nullopt;
}

void look_ahead(CLI::App& app, std::vector<std::string> words) {
  app.set_help_flag();
  app.allow_extras();
  app.allow_config_extras(true);
  std::ranges::reverse(words);
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError&) {
  }
}

std::vector<std::string> with_resumed_options(std::vector<std::string> words, std::string folder) {
  CLI::App app;
  app.option_defaults()->take_last();
  bool resume = false;
  std::string config;
  app.add_option("-o,--output", folder);
  app.add_option("--config", config);
  app.add_flag("--resume", resume);
  look_ahead(app, words);
  const auto recorded = std::filesystem::path(folder) / "config.toml";
  if (resume && config.empty() && std::filesystem::is_regular_file(recorded))
    words.insert(words.end(), {"--config", recorded.string()});
  return words;
}

std::string config_text(const CLI::App& app) {
  std::istringstream lines(app.config_to_str(true, false));
  std::string text = app.get_parent() ? "[" + app.get_name() + "]\n" : "", line;
  while (std::getline(lines, line))
    if (!line.ends_with("=\"\"")) text += line + "\n";
  return text;
}

bool asked_for(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option(name);
  if (std::ranges::count(app.parse_order(), option) > 0) return true;
  const std::string usual = option->get_default_str();
  return option->count() > 0 && option->results().back() != (usual.empty() ? "false" : usual);
}

void refuse_idle(const CLI::App& app, std::initializer_list<const char*> options,
                 const std::string& here) {
  for (const char* option : options)
    if (asked_for(app, option))
      throw InputError(fmt::format("{}: has no effect {}; leave it out", option, here));
}

void require_odd_box(const char* option, int box, int least) {
  if (box != 0 && (box % 2 == 0 || box < least))
    throw InputError(fmt::format("{} {}: must be odd and at least {}; give {}", option, box, least,
                                 std::max(least, box - 1)));
}

}  // namespace orrery
