#pragma once

#include <string>
#include <string_view>

namespace warder::decisions {

// A file in a directory of its own, both gone at the end.
class ScratchFile {
 public:
  ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  void write(std::string_view bytes) const;  // instead of what is there, in the same file
  void append(std::string_view bytes) const;
  void rotate() const;  // it gets another name, and the old name is free

 private:
  std::string folder_ = "/tmp/warder-decisions-XXXXXX";
  std::string path_;
};

}  // namespace warder::decisions
