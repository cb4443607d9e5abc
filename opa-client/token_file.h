#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "net/file_stamp.h"
#include "net/result.h"

namespace warder::opa {

// The bearer token OPA asks for, in a file that somebody else renews. Looked at once a second at
// most. A file that can't be read, or holds no token, is an error from the first look on, and from
// kGrace on where a token was there before: until then that one is still used, so that a file
// rewritten in place harms nothing. A plain object of one thread. The token is never part of an
// error.
class TokenFile {
 public:
  static constexpr std::uint64_t kLookEveryMs = 1000;
  static constexpr std::uint64_t kGraceMs = 10000;

  explicit TokenFile(std::string path);

  // What goes after "Bearer " (RFC 6750 section 2.1). `now_ms` is of any clock that never goes
  // back. Error: opa_token. The text is good until the next call.
  [[nodiscard]] Result<std::string_view> token(std::uint64_t now_ms);
  // What is wrong with the file as of the last look; empty when nothing is.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void look(std::uint64_t now_ms);
  // What is wrong with the file, or nothing, and then `into` is the token.
  [[nodiscard]] std::string read(const struct stat& seen, std::string& into) const;

  const std::string path_;
  std::string token_;
  std::string problem_;
  net::FileStamp seen_;
  bool looked_ = false;
  std::uint64_t looked_at_ms_ = 0;
  std::uint64_t good_at_ms_ = 0;
};

}  // namespace warder::opa
