#include "proxy/decisions/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

namespace warder::decisions {
namespace {

constexpr std::size_t kPackedBlock = 256 << 10;
constexpr std::size_t kLast = 256;
constexpr int kGzipWindow = 15 + 16;  // zlib.h, inflateInit2: gzip only, the largest window

}  // namespace

void ByteSource::EndInflate::operator()(z_stream* stream) const {
  ::inflateEnd(stream);
  delete stream;
}

Result<std::size_t> ByteSource::read(std::span<char> out) {
  if (inflate_) return read_inflated(out);
  auto got = read_raw(out);
  if (!got || *got == 0 || begun_) return got;
  begun_ = true;
  if (!std::string_view(out.data(), *got).starts_with("\x1f\x8b")) return got;
  begin_inflate(out.first(*got));
  return read_inflated(out);
}

Result<std::size_t> ByteSource::read_raw(std::span<char> out) {
  while (true) {
    const ssize_t got = ::read(fd_.get(), out.data(), out.size());
    if (got >= 0) {
      const auto count = static_cast<std::size_t>(got);
      if (cut_off_ || refilled(count)) {
        cut_off_ = true;
        return std::size_t{0};
      }
      consumed_ += count;
      const std::size_t kept = std::min(count, kLast);
      last_.append(out.data() + count - kept, kept);
      if (last_.size() > kLast) last_.erase(0, last_.size() - kLast);
      return count;
    }
    if (errno != EINTR) return fail(from_errno(errno, "read"));
  }
}

// Whether `count` bytes were read that don't follow those before: those are looked at again.
bool ByteSource::refilled(std::size_t count) const {
  if (count == 0 || last_.empty()) return false;
  const off_t at = ::lseek(fd_.get(), 0, SEEK_CUR);
  if (at < 0) return false;  // nobody cuts off a pipe
  std::string before(last_.size(), '\0');
  const auto where = at - static_cast<off_t>(count) - static_cast<off_t>(before.size());
  const ssize_t got = ::pread(fd_.get(), before.data(), before.size(), where);
  return got != static_cast<ssize_t>(before.size()) || before != last_;
}

void ByteSource::begin_inflate(std::span<const char> first) {
  inflate_.reset(new z_stream{});
  ::inflateInit2(inflate_.get(), kGzipWindow);
  packed_.assign(first.begin(), first.end());
  packed_.resize(first.size() < kPackedBlock ? kPackedBlock : first.size());
  inflate_->next_in = reinterpret_cast<Bytef*>(packed_.data());
  inflate_->avail_in = static_cast<uInt>(first.size());
}

std::size_t ByteSource::fail_inflate() {
  damaged_ = true;
  over_ = true;
  return 0;
}

Result<std::size_t> ByteSource::read_inflated(std::span<char> out) {
  inflate_->next_out = reinterpret_cast<Bytef*>(out.data());
  inflate_->avail_out = static_cast<uInt>(out.size());
  while (!over_ && inflate_->avail_out == out.size()) {
    if (inflate_->avail_in == 0) {
      auto got = read_raw(packed_);
      if (!got) return got;
      if (*got == 0) {
        if (in_member_) return fail_inflate();
        over_ = true;
        break;
      }
      inflate_->next_in = reinterpret_cast<Bytef*>(packed_.data());
      inflate_->avail_in = static_cast<uInt>(*got);
    }
    in_member_ = true;
    const int result = ::inflate(inflate_.get(), Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      in_member_ = false;
      ::inflateReset(inflate_.get());
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      const std::size_t before = out.size() - inflate_->avail_out;
      (void)fail_inflate();
      return before;
    }
  }
  return out.size() - inflate_->avail_out;
}

Result<net::UniqueFd> open_source(const std::string& path) {
  const int fd = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return fail(from_errno(errno, path));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return net::UniqueFd(fd);
}

}  // namespace warder::decisions
