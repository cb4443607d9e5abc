#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::decisions {

// The bytes of a descriptor, blocking. What begins like gzip (RFC 1952) is unpacked, several
// members in a row too; a stream of it that is cut off or damaged gives what came before, and says
// so.
class ByteSource {
 public:
  explicit ByteSource(net::UniqueFd fd) : fd_(std::move(fd)) {}

  // How many bytes were put into `out`, which is not empty; 0 at the end. After an end it may be
  // called again: a file that is not gzip may have grown. Errors: system.
  [[nodiscard]] Result<std::size_t> read(std::span<char> out);

  // Whether gzip broke off or made no sense.
  [[nodiscard]] bool damaged() const { return damaged_; }
  // Of the descriptor's bytes, how many were read.
  [[nodiscard]] std::uint64_t consumed() const { return consumed_; }
  // Whether the file was cut off below what was read of it, and filled again: what came next was
  // not read, as after an end.
  [[nodiscard]] bool cut_off() const { return cut_off_; }
  // The last of them, up to 256.
  [[nodiscard]] const std::string& last() const { return last_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  struct EndInflate {
    void operator()(z_stream* stream) const;
  };

  [[nodiscard]] Result<std::size_t> read_raw(std::span<char> out);
  [[nodiscard]] bool refilled(std::size_t count) const;
  void begin_inflate(std::span<const char> first);
  [[nodiscard]] Result<std::size_t> read_inflated(std::span<char> out);
  [[nodiscard]] std::size_t fail_inflate();

  net::UniqueFd fd_;
  std::uint64_t consumed_ = 0;
  std::string last_;
  bool cut_off_ = false;
  bool begun_ = false;
  bool damaged_ = false;
  bool over_ = false;       // gzip: nothing more will come
  bool in_member_ = false;  // gzip: a member has begun and not ended
  std::unique_ptr<z_stream, EndInflate> inflate_;
  std::vector<char> packed_;
};

// Opens a file for reading; "-" is standard input. Errors: those of open(2).
[[nodiscard]] Result<net::UniqueFd> open_source(const std::string& path);

}  // namespace warder::decisions
