#pragma once

#include <sys/types.h>

#include <string>

#include "net/result.h"

namespace warder::proxy {

// The file of a listening unix socket. It is bound under a name beside the wanted one and renamed
// over that, so that there is no moment without a socket and nothing is removed that is in use.
class SocketFile {
 public:
  // Errors: from the system; also when somebody listens at `path`, or it is not a socket.
  [[nodiscard]] static Result<SocketFile> prepare(const std::string& path);

  [[nodiscard]] const std::string& bind_path() const { return bind_path_; }
  // After the socket was bound at bind_path().
  [[nodiscard]] Result<void> publish();
  // Removes the file, if it is still the one published.
  void remove() const;

 private:
  explicit SocketFile(const std::string& path) : path_(path), bind_path_(path + ".new") {}

  std::string path_;
  std::string bind_path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace warder::proxy
