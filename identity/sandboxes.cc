#include "identity/sandboxes.h"

#include <algorithm>
#include <utility>

namespace warder::identity {
namespace {

constexpr std::chrono::milliseconds kLongestSearchPause{1000};
constexpr std::chrono::milliseconds kShortestSearchPause{1};

}  // namespace

Sandboxes::Sandboxes(SandboxPlaces places, std::vector<Sandbox> sandboxes)
    : places_(std::move(places)),
      sandboxes_(std::move(sandboxes)),
      watches_(sandboxes_.size()),
      waiting_(sandboxes_.size()) {}

Result<std::unique_ptr<Sandboxes>> Sandboxes::open(SandboxPlaces places,
                                                   std::span<const SandboxSpec> specs) {
  std::vector<Sandbox> list;
  for (const SandboxSpec& spec : specs) {
    auto good = check(spec);
    Result<Sandbox> sandbox = good ? Result<Sandbox>(Sandbox(spec)) : fail(std::move(good.error()));
    if (sandbox && spec.kind == SandboxSpec::Kind::pid)
      sandbox = Sandbox::open(places.proc_root, spec.pid);
    if (!sandbox) {
      Error error = std::move(sandbox.error());
      error.detail = "sandbox " + text(spec) + ": " + error.detail;
      return fail(std::move(error));
    }
    list.push_back(std::move(*sandbox));
  }
  std::unique_ptr<Sandboxes> all(new Sandboxes(std::move(places), std::move(list)));
  all->refresh();
  return all;
}

void Sandboxes::refresh(Effort* effort) {
  if (sandboxes_.empty()) return;
  poll_all();
  for (std::size_t i = 0; i < sandboxes_.size(); ++i) {
    const Sandbox& sandbox = sandboxes_[i];
    if (sandbox.spec().kind == SandboxSpec::Kind::pid) continue;
    const bool ended = waiting_[i].fd >= 0 ? waiting_[i].revents != 0 : sandbox.ended().has_value();
    if (sandbox.pid() != 0 && ended) {
      if (!may_wait(effort)) return;
      // The next may be there already.
      watches_[i] = {{}, sandbox.named_at()};
      sandboxes_[i] = Sandbox(sandbox.spec());
    }
    if (sandboxes_[i].pid() == 0)
      search(i, effort);
    else if (sandbox.spec().kind == SandboxSpec::Kind::pidfile)
      check_pidfile(i, effort);
  }
}

void Sandboxes::poll_all() {
  for (std::size_t i = 0; i < sandboxes_.size(); ++i)
    waiting_[i] = {sandboxes_[i].pidfd(), POLLIN, 0};
  if (::poll(waiting_.data(), waiting_.size(), 0) >= 0) return;
  for (pollfd& one : waiting_) one.fd = -1;  // ask each
}

void Sandboxes::search(std::size_t i, Effort* effort) {
  const auto begin = Clock::now();
  if (begin < watches_[i].next || !may_wait(effort)) return;
  auto found = find_sandbox(places_, sandboxes_[i].spec());
  const auto end = Clock::now();
  watches_[i].next = end + std::clamp<Clock::duration>((end - begin) * 9, kShortestSearchPause,
                                                       kLongestSearchPause);
  if (found && found->named_at() != 0 && found->named_at() == watches_[i].used_up)
    found = fail(Errc::not_found, "the file has not been written since the last one ended");
  if (found)
    sandboxes_[i] = std::move(*found);
  else
    sandboxes_[i].set_missing("no such process yet: " + cause_of(found.error()));
}

// Another number in it is another sandbox, whether or not the old process lives on.
void Sandboxes::check_pidfile(std::size_t i, Effort* effort) {
  const auto now = Clock::now();
  if (now < watches_[i].next || !may_wait(effort)) return;
  watches_[i].next = now + kLongestSearchPause;
  auto found = find_sandbox(places_, sandboxes_[i].spec());
  if (found && found->pid() != sandboxes_[i].pid()) sandboxes_[i] = std::move(*found);
}

}  // namespace warder::identity
