#include "opa-client/token_file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "net/unique_fd.h"

namespace warder::opa {
namespace {

constexpr std::size_t kMaxToken = 8192;

// b64token of RFC 6750 section 2.1: nothing that could end the header.
bool is_token_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-._~+/=").find(c) != std::string_view::npos;
}

}  // namespace

TokenFile::TokenFile(std::string path) : path_(std::move(path)) {}

Result<std::string_view> TokenFile::token(std::uint64_t now_ms) {
  if (!looked_ || now_ms - looked_at_ms_ >= kLookEveryMs) look(now_ms);
  if (problem_.empty()) return token_;
  if (!token_.empty() && now_ms - good_at_ms_ < kGraceMs) return token_;
  token_.clear();
  return fail(Errc::opa_token, problem_);
}

void TokenFile::look(std::uint64_t now_ms) {
  looked_at_ms_ = now_ms;
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0) {
    looked_ = true;
    problem_ = describe(from_errno(errno, path_));
    return;
  }
  if (!looked_ || !problem_.empty() || net::FileStamp(now) != seen_) {
    std::string token;
    problem_ = read(now, token);
    if (problem_.empty()) token_ = std::move(token);
  }
  looked_ = true;
  seen_ = net::FileStamp(now);
  if (problem_.empty()) good_at_ms_ = now_ms;
}

std::string TokenFile::read(const struct stat& seen, std::string& into) const {
  // A pipe would be waited for.
  if (!S_ISREG(seen.st_mode)) return path_ + " is not a regular file";
  const net::UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return describe(from_errno(errno, path_));
  std::array<char, kMaxToken + 2> buffer;
  const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
  if (count < 0) return describe(from_errno(errno, path_));
  std::string_view text(buffer.data(), static_cast<std::size_t>(count));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.empty()) return path_ + " is empty";
  if (text.size() > kMaxToken) return fmt::format("{} has more than {} bytes", path_, kMaxToken);
  if (!std::all_of(text.begin(), text.end(), is_token_byte)) {
    return path_ + " holds a byte that no bearer token has (RFC 6750 section 2.1)";
  }
  into = text;
  return {};
}

}  // namespace warder::opa
