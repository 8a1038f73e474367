#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "apps/run_options.hpp"

namespace orrery {

// What a number has to be. None takes NaN or infinity, and all say what they ask for.
CLI::Validator positive();
CLI::Validator not_negative();
CLI::Validator between(double least, double most);
/// One of these names.
CLI::Validator one_of(std::vector<std::string> names);

/// The form that all command lines have: of an option that is given twice the last counts, and
/// defaults are shown. To be called before options are added.
void set_form(CLI::App& app);

/// Adds --device, --threads, --quiet, --overwrite and, where something is random, --seed; `random`
/// says what. They make the group "Run", which options that follow join.
void add_run_options(CLI::App& app, RunOptions& options,
                     const std::string& random = "everything random");

/// Adds --resume and --checkpoint-seconds.
void add_checkpoint_options(CLI::App& app, double& seconds, bool& resume);

/// Adds a flag and its opposite, "--halves,!--no-halves", which a file of options can hold either
/// way. Left open, the second kind is neither.
void add_choice(CLI::App& app, const std::string& names, bool& choice,
                const std::string& description);
void add_choice(CLI::App& app, const std::string& names, std::optional<bool>& choice,
                const std::string& description);

/// Parses the words after the program's name; --config and --version are understood too. The exit
/// code where there is nothing more to do (--help, --version), or where a command of the program
/// has done its work. Throws InputError for options that there are not, or values they cannot have.
std::optional<int> parse(CLI::App& app, std::vector<std::string> words);

/// A look at a few options before the others are known; mistakes are left to the second look.
void look_ahead(CLI::App& app, std::vector<std::string> words);

/// The words, and where they ask for a run to be resumed and name no file of options, that run's
/// own: config.toml in the folder that -o names.
std::vector<std::string> with_resumed_options(std::vector<std::string> words, std::string folder);

/// All options that a file can hold, as such a file. Those without a value are left out, so that it
/// can be read again.
std::string config_text(const CLI::App& app);

/// Whether an option stands on the command line, or a file of options gives it another value than
/// it has by itself: the file that a run has recorded names all options, asked for or not.
bool asked_for(const CLI::App& app, const std::string& option);

/// Throws InputError for the first of these options that was asked for although it has no effect
/// here; `here` goes on from there: "beside --views".
void refuse_idle(const CLI::App& app, std::initializer_list<const char*> options,
                 const std::string& here);

/// Throws InputError unless the box is odd and at least so many, or 0, which leaves it open.
void require_odd_box(const char* option, int box, int least);

}  // namespace orrery
