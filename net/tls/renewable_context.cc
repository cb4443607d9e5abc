#include "net/tls/renewable_context.h"

#include <sys/stat.h>

#include <utility>

namespace warder::tls {
namespace {

// Reading a pipe would wait for whoever writes to it.
Result<void> check_regular(const ClientFiles& files) {
  for (const std::string* path : {&files.ca_file, &files.cert_file, &files.key_file}) {
    struct stat file {};
    if (!path->empty() && ::stat(path->c_str(), &file) == 0 && !S_ISREG(file.st_mode)) {
      return fail(Errc::bad_config, *path + " is not a regular file");
    }
  }
  return {};
}

}  // namespace

RenewableContext::RenewableContext(ClientFiles files, const Stamps& seen,
                                   std::shared_ptr<const ClientContext> first)
    : files_(std::move(files)), seen_(seen), current_(std::move(first)) {}

Result<std::shared_ptr<RenewableContext>> RenewableContext::create(ClientFiles files) {
  // Before they are read: what is written meanwhile is another version.
  const Stamps seen = stamps(files);
  auto first = ClientContext::create(files);
  if (!first) return fail(std::move(first.error()));
  return std::shared_ptr<RenewableContext>(
      new RenewableContext(std::move(files), seen, std::move(*first)));
}

std::shared_ptr<const ClientContext> RenewableContext::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::optional<Result<void>> RenewableContext::look() {
  const Stamps now = stamps(files_);
  if (now == seen_ && problem_.empty()) return std::nullopt;
  seen_ = now;
  auto next = check_regular(files_).and_then([this] { return ClientContext::create(files_); });
  std::string problem = next ? std::string() : describe(next.error());
  const bool told = problem == problem_;
  problem_ = std::move(problem);
  if (!next)
    return told ? std::nullopt : std::optional<Result<void>>(fail(std::move(next.error())));
  const std::lock_guard lock(mutex_);
  current_ = std::move(*next);
  return Result<void>();
}

RenewableContext::Stamps RenewableContext::stamps(const ClientFiles& files) {
  const auto stamp = [](const std::string& path) {
    return path.empty() ? net::FileStamp() : net::FileStamp::at(path);
  };
  return {stamp(files.ca_file), stamp(files.cert_file), stamp(files.key_file)};
}

}  // namespace warder::tls
