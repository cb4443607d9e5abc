#include "proxy/admin_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/unique_fd.h"

namespace warder::proxy {
namespace {

Result<void> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(from_errno(ENAMETOOLONG, path));
  std::memcpy(address.sun_path, path.data(), path.size());
  const net::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(from_errno(errno, path));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(from_errno(errno, path));
  }
  return {};
}

// Whether a socket may be put at `path`: nothing is there, or a socket nobody listens on.
Result<void> check_free(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail(from_errno(errno, path));
  }
  if (!S_ISSOCK(status.st_mode)) return fail(from_errno(EEXIST, path + " is not a socket"));
  const auto connected = connect_to(path);
  // unix(7): ECONNREFUSED is a socket without a listener. EAGAIN is one whose backlog is full.
  if (!connected && connected.error().sys_errno == ECONNREFUSED) return {};
  if (connected) return fail(from_errno(EADDRINUSE, path));
  return fail(connected.error());
}

}  // namespace

Result<SocketFile> SocketFile::prepare(const std::string& path) {
  SocketFile file(path);
  for (const std::string& name : {file.path_, file.bind_path_}) {
    if (auto free = check_free(name); !free) return fail(std::move(free.error()));
  }
  if (::unlink(file.bind_path_.c_str()) != 0 && errno != ENOENT) {
    return fail(from_errno(errno, file.bind_path_));
  }
  return file;
}

Result<void> SocketFile::publish() {
  struct stat status {};
  if (::lstat(bind_path_.c_str(), &status) != 0) return fail(from_errno(errno, bind_path_));
  if (::rename(bind_path_.c_str(), path_.c_str()) != 0) return fail(from_errno(errno, path_));
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return {};
}

void SocketFile::remove() const {
  struct stat status {};
  if (inode_ == 0 || ::lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
}

}  // namespace warder::proxy
