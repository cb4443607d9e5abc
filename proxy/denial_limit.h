#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace warder::proxy {

// Keeps a caller whose questions are denied again and again from taking OPA's time from the others:
// each caller may be denied so many times a second, and twice as many at once. Then its questions
// are held back, but for those it was last allowed: these cost nothing, and a caller that is denied
// much is not cut off from what it may do. A caller that was denied lately pays for a question when
// it asks, and is given back what was not denied. One that was not pays when it is denied: nobody
// is held back for how much they ask at once, but may owe for it afterwards. Bounded; the caller,
// or the allowed question, seen longest ago is forgotten first, which lets it ask again. Any
// thread.
class DenialLimit {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kMaxCallers = 4096;
  static constexpr std::size_t kMaxAllowed = 16384;

  class Question;

  // 0: nothing is held back.
  explicit DenialLimit(std::size_t per_second) : per_second_(static_cast<double>(per_second)) {}
  DenialLimit(const DenialLimit&) = delete;
  DenialLimit& operator=(const DenialLimit&) = delete;
  ~DenialLimit() = default;

  [[nodiscard]] bool enabled() const { return per_second_ > 0; }
  // nullptr: OPA is not to be asked. `caller` is its identity_key(), `question` the reuse_key() of
  // the question. What it returns must not outlive this.
  [[nodiscard]] std::unique_ptr<Question> ask(std::string caller, std::string_view question,
                                              Clock::time_point now);
  // Likewise for what OPA is asked in any case. It costs nothing unless it is denied, and then no
  // more than is left.
  [[nodiscard]] std::unique_ptr<Question> ask_anyway(std::string caller, std::string_view question,
                                                     Clock::time_point now);

 private:
  // Of a question: one taken for another is asked about once too often, and decided by OPA. A
  // caller's whole key is kept, which is short: nobody may be held back for another.
  using Hash = std::size_t;
  struct Bucket {
    std::string caller;
    double tokens = 0;  // below 0: what it owes
    Clock::time_point filled_at;
  };

  [[nodiscard]] double most() const;
  // nullptr: there is none, and it would be full.
  [[nodiscard]] Bucket* find(std::string_view caller, Clock::time_point now);
  void charge(const std::string& caller, Clock::time_point now, bool may_owe);
  void give_back(std::string_view caller);
  void remember(Hash question);
  void forget(Hash question);

  const double per_second_;
  std::mutex mutex_;           // guards what follows
  std::list<Bucket> buckets_;  // the last seen first
  // Keys are those of the buckets.
  std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_caller_;
  std::list<Hash> allowed_;  // the last first
  std::unordered_map<Hash, std::list<Hash>::iterator> by_question_;
};

// While OPA is asked. Destroyed before it is over, it counts as denied: whoever leaves without the
// answer has had OPA's time, too.
class DenialLimit::Question {
 public:
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  ~Question();

  // One of the two, once.
  void answered(bool allowed);
  void failed();  // there is no answer

 private:
  friend class DenialLimit;
  enum class Price {
    none,  // it was allowed lately: a denial is owed
    paid,  // given back unless it is denied
    owed,  // by a caller that was not denied lately: to be paid when it is
    left,  // asked in any case: a denial takes what is left, and nothing is owed
  };
  Question(DenialLimit& limit, std::string caller, Hash question, Price price,
           Clock::time_point asked_at);

  DenialLimit& limit_;
  const std::string caller_;
  const Hash question_;
  const Price price_;
  const Clock::time_point asked_at_;
  bool over_ = false;
};

}  // namespace warder::proxy
