#include "proxy/policy_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "opa-client/json.h"

namespace warder::proxy {
namespace {

constexpr std::chrono::milliseconds kReadRetry{500};
// Between two readings, however often answers of several revisions take turns.
constexpr std::chrono::milliseconds kLeastPause{100};

// Another try may go better soon.
bool may_pass(Errc code) {
  switch (code) {
    case Errc::opa_policy_error:
    case Errc::opa_refused:
    case Errc::opa_status:
    case Errc::opa_not_json:
    case Errc::opa_bad_answer:
    case Errc::opa_too_large: return false;
    default: return true;
  }
}

}  // namespace

std::string beside(std::string_view decision_path, std::string_view document) {
  return std::string(decision_path.substr(0, decision_path.rfind('/') + 1)).append(document);
}

Result<std::vector<std::string>> parse_binaries(const opa::Document& document) {
  std::vector<std::string> paths;
  if (!document.result) return paths;
  const auto list = opa::parse_json(*document.result);
  if (!list) return fail(list.error());
  if (!list->IsArray()) return fail(Errc::opa_bad_answer, "the binaries are not a list");
  for (const auto& item : list->GetArray()) {
    if (!item.IsString()) return fail(Errc::opa_bad_answer, "one of the binaries is not a text");
    paths.emplace_back(item.GetString(), item.GetStringLength());
  }
  return paths;
}

PolicyNames::PolicyNames(net::Loop& loop, opa::Client& opa, identity::PolicyPaths& paths,
                         RecordSink& records, Metrics& metrics, const Options& options)
    : loop_(loop),
      opa_(opa),
      paths_(paths),
      records_(records),
      metrics_(metrics),
      path_(beside(options.decision_path, "binaries")),
      refresh_(options.refresh),
      on_read_(options.on_read),
      on_revision_(options.on_revision),
      timer_(loop, [this] { read(); }),
      self_(std::make_shared<Self>(Self{this})),
      check_{"policy_names", false, true, "not read yet"} {}

PolicyNames::~PolicyNames() { self_->names = nullptr; }

void PolicyNames::start() { read(); }

Check PolicyNames::check() const {
  const std::lock_guard lock(mutex_);
  return check_;
}

void PolicyNames::saw_revision(const std::optional<std::string>& revision) {
  {
    const std::lock_guard lock(mutex_);
    if (revision == revision_) return;
    revision_ = revision;
  }
  loop_.post([self = self_] {
    if (self->names != nullptr) self->names->on_new_revision();
  });
}

void PolicyNames::on_new_revision() {
  std::optional<std::string> revision;
  {
    // Not the one that was posted: by now there may be a newer one.
    const std::lock_guard lock(mutex_);
    revision = revision_;
  }
  if (on_revision_) on_revision_(revision);
  read_soon();
}

void PolicyNames::read_anew() {
  {
    const std::lock_guard lock(mutex_);
    check_.ok = false;
    check_.detail = "not read yet since OPA answers";
  }
  read_soon();
}

void PolicyNames::read_soon() {
  if (call_) {
    again_ = true;
    return;
  }
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
  if (since >= kLeastPause) return read();
  timer_.start(kLeastPause - since);
}

void PolicyNames::read() {
  timer_.stop();
  begun_ = Clock::now();
  {
    const std::lock_guard lock(mutex_);
    reading_for_ = revision_;
  }
  call_ =
      opa_.read(path_, [this](const Result<opa::Document>& document) { on_document(document); });
}

void PolicyNames::on_document(const Result<opa::Document>& document) {
  call_.reset();
  auto paths = document ? parse_binaries(*document) : fail(document.error());
  const bool over = paths || !may_pass(paths.error().code);
  if (over && !again_) {
    const std::lock_guard lock(mutex_);
    check_.ok = true;
    check_.detail = paths ? fmt::format("the policy mentions {} paths", paths->size())
                          : "OPA gives no list of paths: " + describe(paths.error());
  }
  if (paths)
    take(std::move(*paths));
  else if (over)
    tell(paths.error());
  else
    note_delay(paths.error());
  if (over && on_read_) on_read_(reading_for_);
  if (std::exchange(again_, false)) return read_soon();
  timer_.start(over ? refresh_ : std::min(refresh_, kReadRetry));
}

void PolicyNames::note_delay(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!check_.ok) check_.detail = "not read yet: " + describe(error);
}

void PolicyNames::take(std::vector<std::string> paths) {
  problem_.clear();
  const std::size_t left_out = paths_.set(std::move(paths));
  metrics_.set_policy_paths(paths_.list().paths.size(), left_out);
  if (std::exchange(left_out_, left_out) == left_out || left_out == 0) return;
  records_.write(Diagnostic{
      LogLevel::warn,
      "policy_names",
      fmt::format("{} of the paths that the policy mentions are not looked up: only the first {} "
                  "are, that are absolute, of at most {} bytes and without a NUL. Programs are "
                  "known by the others only where the kernel gives them the same name.",
                  left_out, identity::PolicyPaths::kMost, identity::PolicyPaths::kLongest),
      {{"left_out", std::to_string(left_out)}}});
}

void PolicyNames::tell(const Error& error) {
  if (std::exchange(problem_, std::string(code_name(error.code))) == code_name(error.code)) return;
  records_.write(
      Diagnostic{LogLevel::warn,
                 "policy_names",
                 fmt::format("The paths that the policy mentions can't be read from {}: {}. Until "
                             "they can, programs are looked for at those known before.",
                             path_, describe(error)),
                 {{"error", std::string(code_name(error.code))}}});
}

}  // namespace warder::proxy
