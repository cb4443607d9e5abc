#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace warder::net {

// What tells one version of a file from the next, whether it is written to or replaced.
class FileStamp {
 public:
  // Of no file.
  FileStamp() = default;
  explicit FileStamp(const struct stat& file)
      : device_(file.st_dev),
        inode_(file.st_ino),
        size_(file.st_size),
        written_s_(file.st_mtim.tv_sec),
        written_ns_(file.st_mtim.tv_nsec),
        changed_s_(file.st_ctim.tv_sec),
        changed_ns_(file.st_ctim.tv_nsec) {}
  // Where `path` leads to; of no file where there is none.
  [[nodiscard]] static FileStamp at(const std::string& path) {
    struct stat file {};
    return ::stat(path.c_str(), &file) == 0 ? FileStamp(file) : FileStamp();
  }
  bool operator==(const FileStamp&) const = default;

 private:
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t size_ = 0;
  time_t written_s_ = 0;
  std::int64_t written_ns_ = 0;
  time_t changed_s_ = 0;
  std::int64_t changed_ns_ = 0;
};

}  // namespace warder::net
