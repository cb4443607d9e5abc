#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "net/clock.h"
#include "opa-client/decision.h"

namespace warder::opa {

struct ReuseOptions {
  std::chrono::milliseconds max_age;  // whatever an answer says; 0: nothing is reused
  std::size_t entries = 4096;
  std::size_t bytes = std::size_t{8} << 20;  // of keys and answers, about
};

// The answers that the policy allows to be given again, for a while. Only an allow is kept: one
// that is more than an audit's would_deny, and says `max_age` and `revision`. When any answer
// brings another revision, or none where there was one, all is forgotten; `max_age` is how long a
// change of policy may go unnoticed. At a limit the answer used longest ago makes room. A plain
// object of one thread.
class AnswerReuse {
 public:
  explicit AnswerReuse(ReuseOptions options, net::Clock now = net::boot_time);
  AnswerReuse(const AnswerReuse&) = delete;
  AnswerReuse& operator=(const AnswerReuse&) = delete;
  ~AnswerReuse() = default;

  // To be told of every answer, denials too, with the reuse_key() of its question. A denial takes
  // the place of what was kept under the key. Nothing without a revision is kept: nobody could tell
  // that the policy is another one.
  void remember(const std::string& key, const Decision& decision);
  // To be told of the revision in every answer, also of those to other questions. Another one than
  // before, or none where there was one: all is forgotten, and it returns true.
  bool saw_revision(const std::optional<std::string>& revision);
  [[nodiscard]] const std::optional<std::string>& revision() const { return revision_; }
  // How many such changes there were. One while a question was under way: nobody knows which policy
  // its answer is of, and it is not to be remembered.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  // nullptr when there is none; good until the next call of either function.
  [[nodiscard]] const Decision* find(const std::string& key);

  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  struct Entry {
    std::string key;
    Decision decision;
    std::chrono::nanoseconds good_until;
    std::size_t bytes = 0;
  };
  using Order = std::list<Entry>;

  void erase(Order::iterator entry);

  const ReuseOptions options_;
  const net::Clock now_;
  Order order_;                                                  // the last used first
  std::unordered_map<std::string_view, Order::iterator> index_;  // keys are those of the entries
  std::size_t bytes_ = 0;
  std::optional<std::string> revision_;
  std::uint64_t changes_ = 0;
};

}  // namespace warder::opa
