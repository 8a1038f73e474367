#include "apps/mra/common.hpp"

#include "apps/program.hpp"
#include "io/files.hpp"
#include "kernels/check.hpp"
#include "nn/diverged.hpp"
#include "orrery/version.hpp"

namespace orrery {

namespace {

OutputChoice output_choice(const CommandOptions& options, std::vector<std::string> results,
                           bool resume) {
  results.insert(results.end(), {"log.txt", "summary.json"});
  return {.path = options.output,
          .overwrite = options.overwrite,
          .resume = resume,
          .results = std::move(results)};
}

}  // namespace

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      std::function<int(const CLI::App&)> run) {
  CLI::App* command = app.add_subcommand(name, description);
  command->fallthrough();  // --config is the program's
  command->callback([command, run = std::move(run)] {
    try {
      if (const int code = run(*command); code != 0) throw CLI::RuntimeError(code);
    } catch (const Diverged& error) {
      // The paper's experiments have rates of their own: there it is the data.
      const bool has_rate = command->get_option_no_throw("--learning-rate");
      throw InputError(std::string(error.what()) + "; lower " +
                       (has_rate ? "--learning-rate" : "--noise-sigma"));
    }
  });
  return *command;
}

void add_command_options(CLI::App& command, CommandOptions& o, const std::string& random) {
  add_run_options(command, o, random);
  command.add_option("-o,--output", o.output, "folder for the results");
}

std::string counted(Index count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

CommandRun::CommandRun(const CLI::App& command, const CommandOptions& options,
                       std::vector<std::string> results, bool resume)
    : ctx(Context::named(options.device, options.threads)),
      console("mra", options.quiet),
      folder(output_choice(options, std::move(results), resume), config_text(command)),
      name_(command.get_name()),
      seed_(options.seed),
      resume_(resume) {}

void CommandRun::begin() {
  folder.begin();
  console.log_to(folder / "log.txt", resume_);
}

void CommandRun::finish(nlohmann::ordered_json summary) const {
  summary["command"] = name_;
  summary["seed"] = seed_;
  summary["device"] = ctx.description();
  summary["threads"] = ctx.threads();
  summary["seconds"] = seconds();
  summary["peak_memory_bytes"] = peak_memory_bytes();
  summary["version"] = version;
  summary["commit"] = commit;
  io::write_text(folder / "summary.json", summary.dump(2) + "\n");
}

}  // namespace orrery
