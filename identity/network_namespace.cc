#include "identity/network_namespace.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace warder::identity {
namespace {

Result<net::UniqueFd> open_namespace(int at, const std::string& path) {
  net::UniqueFd fd(::openat(at, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(from_errno(errno, path));
  return fd;
}

}  // namespace

Result<std::unique_ptr<NamespaceView>> NamespaceSockets::open() {
  auto diag = SockDiag::open();
  if (!diag) return fail(std::move(diag.error()));
  return std::unique_ptr<NamespaceView>(
      new NamespaceSockets(std::move(*diag), NetlinkSocket::open(NETLINK_NETFILTER)));
}

Result<std::vector<DiagSocket>> NamespaceSockets::find(std::span<const SocketEnds> wanted,
                                                       SockDiag::Bound bound) {
  return diag_.find(wanted, bound);
}

Result<std::optional<SocketEnds>> NamespaceSockets::dialled(const net::Endpoint& proxy,
                                                            const net::Endpoint& client) {
  if (!conntrack_) return fail(conntrack_.error());
  std::vector<std::byte> message;
  const std::uint32_t sequence = conntrack_->next_sequence();
  put_conntrack_question(message, sequence, proxy, client);
  auto sent = conntrack_->send(message);
  if (!sent) return fail(std::move(sent.error()));
  const auto answer = conntrack_->receive(sequence);
  if (!answer) return fail(answer.error());
  return parse_conntrack_reply(*answer, sequence);
}

Result<void> in_network_namespace(int target, int home, const std::function<void()>& visit) {
  if (::setns(target, CLONE_NEWNET) != 0) return fail(from_errno(errno, "setns"));
  // An exception would get past the way back: it ends the process too.
  [&]() noexcept { visit(); }();
  if (::setns(home, CLONE_NEWNET) != 0) {
    std::fprintf(stderr, "warder: no way back into the own network namespace: %s\n",
                 ::strerrordesc_np(errno));
    std::abort();
  }
  return {};
}

EnteredNamespaces::EnteredNamespaces(int proc_root, Effort* effort)
    : effort_(effort), home_(open_namespace(proc_root, "thread-self/ns/net")) {
  auto own = NamespaceSockets::open();
  if (own) own_ = std::move(*own);
}

Result<void> EnteredNamespaces::check_own() const {
  if (!home_) return fail(home_.error());
  return SockDiag::check();
}

Result<void> EnteredNamespaces::check_entering() const {
  if (!home_) return fail(home_.error());
  return in_network_namespace(home_->get(), home_->get(), [] {});
}

Result<NamespaceView*> EnteredNamespaces::view(const Place& place) {
  if (place.ours) {
    if (!own_) {
      if (!may_wait(effort_)) return left_undone();
      auto own = NamespaceSockets::open();
      if (!own) return fail(std::move(own.error()));
      own_ = std::move(*own);
    }
    return own_.get();
  }
  if (!place.network_namespace)
    return fail(Errc::not_permitted, "its network namespace can't be told");
  for (const Entered& entered : entered_)
    if (entered.network_namespace == *place.network_namespace) return entered.view.get();
  if (!may_wait(effort_)) return left_undone();
  auto view = enter(place);
  if (!view) return fail(std::move(view.error()));
  return entered_.emplace_back(Entered{*place.network_namespace, std::move(*view)}).view.get();
}

Result<std::unique_ptr<NamespaceView>> EnteredNamespaces::enter(const Place& place) const {
  if (!home_) return fail(home_.error());
  const auto target = open_namespace(place.directory, place.link);
  if (!target) return fail(target.error());
  struct stat info {};
  if (::fstat(target->get(), &info) != 0) return fail(from_errno(errno, "fstat"));
  if (info.st_ino != *place.network_namespace)
    return fail(Errc::system, "its network namespace has just changed");
  Result<std::unique_ptr<NamespaceView>> view = fail(Errc::system, "not entered");
  auto entered =
      in_network_namespace(target->get(), home_->get(), [&] { view = NamespaceSockets::open(); });
  if (!entered) return fail(std::move(entered.error()));
  return view;
}

void EnteredNamespaces::drop(const Place& place) {
  if (place.ours) own_.reset();
  std::erase_if(entered_, [&](const Entered& entered) {
    return !place.ours && entered.network_namespace == place.network_namespace;
  });
}

void EnteredNamespaces::keep_only(std::span<const Place> places) {
  std::erase_if(entered_, [&](const Entered& entered) {
    return std::none_of(places.begin(), places.end(), [&](const Place& place) {
      return place.directory >= 0 && place.network_namespace == entered.network_namespace;
    });
  });
}

}  // namespace warder::identity
