#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace warder::testing {

// A directory of its own below the temporary directory, laid out like procfs as far as a test says
// so; removed with everything in it at the end.
class ProcTree {
 public:
  ProcTree();
  ~ProcTree();
  ProcTree(const ProcTree&) = delete;
  ProcTree& operator=(const ProcTree&) = delete;

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string path(const std::string& below) const { return root_ + "/" + below; }

  // Directories on the way are made. An existing file or link is replaced.
  void write(const std::string& below, std::string_view text) const;
  void link(const std::string& below, const std::string& target) const;
  void directory(const std::string& below) const;
  void remove(const std::string& below) const;

  // stat, status and task/<pid>/{status,exe,fd} of a process with one thread. `exe` is the target
  // of its link as it stands.
  void process(pid_t pid, pid_t parent, std::uint64_t start_time, const std::string& exe) const;
  // The two tables below `at` ("net" or "469/net"), with a heading and these rows.
  void tables(const std::string& at, std::string_view tcp, std::string_view tcp6 = {}) const;

 private:
  std::string root_;
};

// A stat line with what is read from it.
[[nodiscard]] std::string stat_line(pid_t pid, std::string_view name, char state, pid_t parent,
                                    std::uint64_t start_time);

}  // namespace warder::testing
