#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "net/unique_fd.h"
#include "proxy/policy_check.h"
#include "proxy/policy_lines.h"

namespace warder::proxy {
namespace {

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(from_errno(errno, path));
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fsync(fd) != 0) return fail(from_errno(errno, path));
  return {};
}

// Whoever reads the file sees the one before or this one, also after a crash.
Result<void> put_in_place(const std::string& directory, const std::string& text) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return fail(from_errno(errno, directory));
  // OPA reads every JSON file of a directory: not this one.
  const std::string unfinished = directory + "/data.json.unfinished";
  const std::string path = directory + "/data.json";
  const net::UniqueFd file(
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) return fail(from_errno(errno, unfinished));
  Result<void> done = write_all(file.get(), text, unfinished);
  if (done && ::rename(unfinished.c_str(), path.c_str()) != 0) done = fail(from_errno(errno, path));
  if (!done) ::unlink(unfinished.c_str());
  return done;
}

}  // namespace

Result<BuiltPolicy> build_policy(const PolicySource& source, const std::string& directory) {
  auto evaluation = evaluate(source, Wanted::index);
  if (!evaluation) return fail(std::move(evaluation.error()));
  auto& problems = evaluation->problems;
  locate(source.directory, problems);
  if (!problems.empty() && problems.front().severity == PolicyProblem::Severity::error)
    return fail(Errc::bad_config, fmt::format("the policies have errors (warder policy check tells "
                                              "all): {}: {}",
                                              problems.front().path, problems.front().problem));
  if (!evaluation->index)
    return fail(Errc::bad_config, "the policy package makes no index of these policies");
  if (auto put = put_in_place(directory, "{\"egress_index\":" + *evaluation->index + "}\n"); !put)
    return fail(std::move(put.error()));
  return BuiltPolicy{evaluation->revision.value_or(""), std::move(problems)};
}

}  // namespace warder::proxy
