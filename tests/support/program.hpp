#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/files.hpp"
#include "tests/support/temporary_folder.hpp"

namespace orrery::test {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// The program of that name that was built, or bundled, beside the test.
inline std::string program_beside(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

struct ProgramOutcome {
  int code = -1;  // negative: the signal that ended it
  std::string output, errors;
};

/// A program, run in a folder of its own for each test.
class ProgramTest : public testing::Test {
 protected:
  explicit ProgramTest(const std::string& name) : program_(program_beside(name)) {}

  /// Starts the program with the folder as its working directory; `finish` waits for its end.
  pid_t start(const Arguments& arguments) { return start_words(Arguments{program_} + arguments); }
  /// The same of any program, by its name or its path.
  pid_t start_words(Arguments words) {
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (::chdir(folder.path().c_str()) != 0) ::_exit(126);
    for (const auto& [name, descriptor] : {std::pair{"stdout", 1}, {"stderr", 2}})
      ::dup2(::open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600), descriptor);
    ::execvp(pointers[0], pointers.data());
    ::_exit(127);
  }
  ProgramOutcome finish(pid_t child) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
            io::read_text(folder / "stdout"), io::read_text(folder / "stderr")};
  }
  ProgramOutcome run(const Arguments& arguments) { return finish(start(arguments)); }

  std::string contents(const std::string& file) const { return io::read_text(folder / file); }
  bool exists(const std::string& file) const { return std::filesystem::exists(folder / file); }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(folder / file, std::ios::binary) << text;
  }
  std::vector<std::string> files_in(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder / name))
      names.push_back(entry.path().filename().string());
    return names;
  }

  TemporaryFolder folder;

 private:
  std::string program_;
};

}  // namespace orrery::test
