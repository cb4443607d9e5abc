#include "proxy/reauthorizer.h"

#include <fmt/format.h>

#include <utility>

namespace warder::proxy {

namespace {

constexpr std::size_t kAtOnce = 4;
// How often one of them is asked about while OPA gives no answer.
constexpr std::chrono::milliseconds kReauthorizeRetry{1000};
// How long a new policy's names are waited for: while they can't be read, the old ones hold.
constexpr std::chrono::milliseconds kNamesWithin{500};

}  // namespace

Reauthorizer::Reauthorizer(net::Loop& loop, RecordSink& records, opa::AnswerReuse& reuse)
    : records_(records), reuse_(reuse), timer_(loop, [this] { run(); }) {}

void Reauthorizer::saw_revision(const std::optional<std::string>& revision) {
  if (!reuse_.saw_revision(revision)) return;
  names_due_ = revision != names_of_;
  // A wait that goes on is not begun anew, however often policies take turns.
  if (names_due_ && !failing_ && !holding_) timer_.stop();
  for (auto& [tunnel, entry] : tunnels_) queue(*tunnel, entry);
}

void Reauthorizer::names_read(const std::optional<std::string>& revision) {
  names_of_ = revision;
  if ((!names_due_ && !holding_) || revision != reuse_.revision()) return;
  names_due_ = false;
  if (!failing_) hurry();
  wake();
}

void Reauthorizer::enroll(Tunnel& tunnel, const std::optional<std::string>& revision) {
  Entry& entry = tunnels_.try_emplace(&tunnel).first->second;
  if (revision != reuse_.revision()) queue(tunnel, entry);
}

void Reauthorizer::withdraw(Tunnel& tunnel) {
  end_turn(tunnel);
  const auto found = tunnels_.find(&tunnel);
  if (found == tunnels_.end()) return;
  if (found->second.place) queue_.erase(*found->second.place);
  tunnels_.erase(found);
}

void Reauthorizer::due(Tunnel& tunnel) {
  const auto found = tunnels_.find(&tunnel);
  if (found != tunnels_.end()) queue(tunnel, found->second);
}

void Reauthorizer::queue(Tunnel& tunnel, Entry& entry) {
  if (!entry.place) entry.place = queue_.insert(queue_.end(), &tunnel);
  wake();
}

bool Reauthorizer::end_turn(Tunnel& tunnel) {
  const auto found = tunnels_.find(&tunnel);
  if (found == tunnels_.end() || !std::exchange(found->second.active, false)) return false;
  --active_;
  wake();
  return true;
}

void Reauthorizer::skipped(Tunnel& tunnel) { end_turn(tunnel); }

void Reauthorizer::answered(Tunnel& tunnel) {
  if (!end_turn(tunnel) || !std::exchange(failing_, false)) return;
  hurry();
  wake();
  records_.write(Diagnostic{
      LogLevel::info, "reauthorize", "Open tunnels are decided again as they are due.", {}});
}

void Reauthorizer::not_answered(Tunnel& tunnel, const Error& error) {
  if (!end_turn(tunnel)) return;
  if (!std::exchange(failing_, true)) {
    hurry();
    records_.write(Diagnostic{
        LogLevel::error,
        "reauthorize",
        fmt::format("Open tunnels can't be decided again and stay open: {}.", describe(error)),
        {{"code", std::string(code_name(error.code))}}});
  }
  due(tunnel);
}

std::chrono::milliseconds Reauthorizer::jittered(std::chrono::milliseconds interval) {
  const std::int64_t tenth = interval.count() / 10;
  return interval +
         std::chrono::milliseconds(std::uniform_int_distribution(-tenth, tenth)(random_));
}

void Reauthorizer::hurry() {
  timer_.stop();
  holding_ = false;
}

void Reauthorizer::wake() {
  if (queue_.empty() || timer_.active()) return;
  holding_ = !failing_ && names_due_;
  timer_.start(failing_     ? kReauthorizeRetry
               : names_due_ ? kNamesWithin
                            : std::chrono::milliseconds{0});
}

void Reauthorizer::run() {
  names_due_ = holding_ = false;
  const std::size_t at_once = failing_ ? 1 : kAtOnce;
  for (std::size_t left = queue_.size(); left > 0 && active_ < at_once; --left) {
    Tunnel& tunnel = *queue_.front();
    Entry& entry = tunnels_.at(&tunnel);
    if (entry.active) {
      // It asked for another turn during its own: behind the others, after that one.
      queue_.splice(queue_.end(), queue_, queue_.begin());
      continue;
    }
    queue_.pop_front();
    entry.place.reset();
    entry.active = true;
    ++active_;
    tunnel.decide_again();
  }
}

}  // namespace warder::proxy
