#include <memory>

#include "loops.h"
#include "net/loop.h"
#include "net/timer.h"
#include "opa-client/client.h"

namespace warder::bench {
namespace {

// One caller after the other in one place: each asks when the one before has its answer.
class Asker {
 public:
  Asker(net::Loop& loop, opa::Client& client, const Work& work, Latencies& took)
      : loop_(loop), client_(client), work_(work), took_(took), pause_(loop, [this] { ask(); }) {}

  void ask() {
    begun_ = Clock::now();
    call_ = client_.ask(work_.query, [this](const Result<opa::Decision>& answer) { next(answer); });
  }

 private:
  void next(const Result<opa::Decision>& answer) {
    if (!answer) {
      took_.clear();
      return loop_.stop();
    }
    took_.push_back(Clock::now() - begun_);
    if (took_.size() >= work_.exchanges) return loop_.stop();
    if (work_.pause.count() > 0) return pause_.start(work_.pause);
    ask();
  }

  net::Loop& loop_;
  opa::Client& client_;
  const Work& work_;
  Latencies& took_;
  net::Timer pause_;
  Clock::time_point begun_;
  std::unique_ptr<opa::Call> call_;
};

}  // namespace

Latencies run_client(const Work& work) {
  net::Loop loop;
  opa::ClientOptions options;
  options.address = opa::parse_url("unix://" + work.socket).value();
  options.timeout = std::chrono::seconds(10);
  options.max_connections = work.at_once;
  options.breaker_failures = 5;
  const auto client = opa::make_client(loop, options);
  Latencies took;
  took.reserve(work.exchanges + work.at_once);
  std::vector<std::unique_ptr<Asker>> askers;
  for (std::size_t i = 0; i < work.at_once; ++i) {
    askers.push_back(std::make_unique<Asker>(loop, *client, work, took));
    askers.back()->ask();
  }
  loop.run();
  askers.clear();
  return took;
}

}  // namespace warder::bench
