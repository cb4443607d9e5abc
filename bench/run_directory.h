#pragma once

#include <string>

namespace warder::bench {

// A new directory in /tmp for one run's configurations, sockets and logs, which everybody may
// enter. The destructor removes it.
class RunDirectory {
 public:
  explicit RunDirectory(const std::string& program);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;
  ~RunDirectory();

  // Empty where none could be made; errno says why.
  [[nodiscard]] const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

}  // namespace warder::bench
