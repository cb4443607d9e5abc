#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/policy_paths.h"
#include "net/loop.h"
#include "net/timer.h"
#include "opa-client/client.h"
#include "proxy/admin.h"
#include "proxy/metrics.h"
#include "proxy/record.h"

namespace warder::proxy {

// Told of the revision that each answer of the policy gives.
class RevisionListener {
 public:
  virtual ~RevisionListener() = default;
  // Any thread.
  virtual void saw_revision(const std::optional<std::string>& revision) = 0;
};

// Keeps identity's list of the paths that the policy mentions as OPA has it: the document
// `binaries` beside the decision. It is read at start, now and then, and at once when an answer
// brings another revision. A policy without that document mentions none. While it can't be read,
// the list stays what it was: who has which name is looked up for each caller in any case.
// Belongs to one loop; check() and saw_revision() may be called on any thread.
class PolicyNames final : public RevisionListener {
 public:
  struct Options {
    std::string decision_path;  // of OPA's data API
    std::chrono::milliseconds refresh;
    // What there is has been read for the policy of that revision; on the loop.
    std::function<void(const std::optional<std::string>& revision)> on_read{};
    // The answers are of another revision now; on the loop, soon after one said so.
    std::function<void(const std::optional<std::string>& revision)> on_revision{};
  };
  // All outlive it.
  PolicyNames(net::Loop& loop, opa::Client& opa, identity::PolicyPaths& paths, RecordSink& records,
              Metrics& metrics, const Options& options);
  PolicyNames(const PolicyNames&) = delete;
  PolicyNames& operator=(const PolicyNames&) = delete;
  ~PolicyNames() override;

  void start();
  // Posts to the loop, which must not be gone; what was posted finds nobody once this is.
  void saw_revision(const std::optional<std::string>& revision) override;
  // Not ok before OPA has said, in whatever words, what there is.
  [[nodiscard]] Check check() const;
  // What was read counts no more; another reading begins. On the loop.
  void read_anew();

 private:
  using Clock = std::chrono::steady_clock;
  void on_new_revision();
  void read();
  void read_soon();
  void on_document(const Result<opa::Document>& document);
  void take(std::vector<std::string> paths);
  void tell(const Error& error);
  void note_delay(const Error& error);

  struct Self {
    PolicyNames* names;
  };

  net::Loop& loop_;
  opa::Client& opa_;
  identity::PolicyPaths& paths_;
  RecordSink& records_;
  Metrics& metrics_;
  const std::string path_;
  const std::chrono::milliseconds refresh_;
  const std::function<void(const std::optional<std::string>&)> on_read_, on_revision_;
  net::Timer timer_;
  std::unique_ptr<opa::Call> call_;
  Clock::time_point begun_;
  std::optional<std::string> reading_for_;  // the revision seen last when that began
  bool again_ = false;                      // the policy became another one while it was read
  std::size_t left_out_ = 0;
  std::string problem_;  // that was told
  const std::shared_ptr<Self>
      self_;  // shared with what is posted; its names are nullptr at the end

  mutable std::mutex mutex_;  // guards what follows
  std::optional<std::string> revision_;
  Check check_;
};

// Where another document of the policy is: "/v1/data/egress/binaries" beside
// "/v1/data/egress/decision".
[[nodiscard]] std::string beside(std::string_view decision_path, std::string_view document);

// What the document says. Errors: opa_bad_answer.
[[nodiscard]] Result<std::vector<std::string>> parse_binaries(const opa::Document& document);

}  // namespace warder::proxy
