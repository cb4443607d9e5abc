#include "identity/sock_diag.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <utility>

#include "identity/effort.h"
#include "identity/proc_files.h"
#include "net/socket.h"

namespace warder::identity {
namespace {

// In one send: their answers fit into any receive buffer.
constexpr std::size_t kBatch = 32;
constexpr std::size_t kMostInterfaces = 4096;
constexpr std::size_t kInterfacesAtOnce = 16;
constexpr int kMostDatagrams = 4096;

bool is_wanted(const DiagSocket& socket, const SocketEnds& wanted) {
  return socket.state != kTcpListen && socket.local.unmapped() == wanted.local.unmapped() &&
         socket.remote.unmapped() == wanted.remote.unmapped();
}

}  // namespace

Result<SockDiag> SockDiag::open() {
  auto diag = NetlinkSocket::open(NETLINK_SOCK_DIAG);
  if (!diag) return fail(std::move(diag.error()));
  auto links = NetlinkSocket::open(NETLINK_ROUTE, RTMGRP_LINK);
  if (!links) return fail(std::move(links.error()));
  return SockDiag(std::move(*diag), std::move(*links));
}

Result<void> SockDiag::check() {
  auto diag = open();
  if (!diag) return fail(std::move(diag.error()));
  const auto listener =
      net::listen_tcp({net::IpAddress::v4({127, 0, 0, 1}), 0}, 1, net::PortSharing::exclusive);
  if (!listener) return fail(listener.error());
  const auto at = net::local_endpoint(listener->get());
  if (!at) return fail(at.error());
  // No connection has that port 1 as its other end: the listener is what is shown.
  const std::uint32_t sequence = diag->diag_.next_sequence();
  std::vector<std::byte> message;
  put_diag_question(message, sequence, *at, {at->address, 1}, 0);
  auto sent = diag->diag_.send(message);
  if (!sent) return sent;
  const auto answer = diag->diag_.receive(sequence);
  if (!answer) return fail(answer.error());
  const auto socket = parse_diag_reply(*answer, sequence);
  if (!socket) return fail(socket.error());
  if (!*socket || (*socket)->local != *at || (*socket)->inode == 0)
    return fail(Errc::system, "a socket of our own is not shown: the kernel lacks tcp_diag");
  return {};
}

Result<std::vector<DiagSocket>> SockDiag::find(std::span<const SocketEnds> wanted,
                                               Bound bound_ones) {
  std::vector<Question> questions;
  questions.reserve(wanted.size());
  for (const SocketEnds& ends : wanted) questions.push_back({ends, 0});
  std::vector<DiagSocket> found;
  auto asked = ask(questions, found);
  if (!asked) return fail(std::move(asked.error()));
  const auto seen = [&](const SocketEnds& ends) {
    return std::any_of(found.begin(), found.end(),
                       [&](const DiagSocket& socket) { return is_wanted(socket, ends); });
  };
  std::erase_if(questions, [&](const Question& question) { return seen(question.ends); });
  if (questions.empty() || bound_ones == Bound::ignored) return found;
  if (bound_ones == Bound::seen_at_once) {
    known_ &= !links_.drain();
    if (!known_ || interfaces_.size() > kInterfacesAtOnce) return left_undone();
  }
  asked = refresh_interfaces();
  if (!asked) return fail(std::move(asked.error()));
  std::vector<Question> bound;
  bound.reserve(questions.size() * interfaces_.size());
  for (const Question& question : questions)
    for (const std::uint32_t interface : interfaces_) bound.push_back({question.ends, interface});
  asked = ask(bound, found);
  if (!asked) return fail(std::move(asked.error()));
  return found;
}

Result<void> SockDiag::ask(std::span<const Question> questions, std::vector<DiagSocket>& found) {
  while (!questions.empty()) {
    const auto batch = questions.first(std::min(questions.size(), kBatch));
    questions = questions.subspan(batch.size());
    std::vector<std::uint32_t> sequences;
    message_.clear();
    for (const Question& question : batch) {
      sequences.push_back(diag_.next_sequence());
      put_diag_question(message_, sequences.back(), question.ends.local, question.ends.remote,
                        question.interface);
    }
    auto sent = diag_.send(message_);
    if (!sent) return sent;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto answer = diag_.receive(sequences[i]);
      if (!answer) return fail(answer.error());
      const auto socket = parse_diag_reply(*answer, sequences[i]);
      if (!socket) return fail(socket.error());
      // Where there is no such connection the listener is shown, bound to the address or not.
      if (!*socket || !is_wanted(**socket, batch[i].ends)) continue;
      const bool known = std::any_of(found.begin(), found.end(), [&](const DiagSocket& one) {
        return one.cookie == (*socket)->cookie;
      });
      if (!known) found.push_back(**socket);
    }
  }
  return {};
}

Result<void> SockDiag::refresh_interfaces() {
  if (!links_.drain() && known_) return {};
  known_ = false;
  interfaces_.clear();
  const std::uint32_t sequence = links_.next_sequence();
  message_.clear();
  put_interfaces_question(message_, sequence);
  auto sent = links_.send(message_);
  if (!sent) return sent;
  bool changed = false;  // while it was told
  for (int i = 0; i < kMostDatagrams; ++i) {
    const auto answer = links_.receive();
    if (!answer) return fail(answer.error());
    if (sequence_of(*answer) != sequence) {
      changed = true;
      continue;
    }
    const auto last = parse_interfaces_reply(*answer, sequence, interfaces_);
    if (!last) return fail(last.error());
    if (interfaces_.size() > kMostInterfaces)
      return fail(Errc::overloaded, "more than 4096 interfaces");
    known_ = *last && !changed;
    if (*last) return {};
  }
  return fail(Errc::system, "netlink: a list without end");
}

}  // namespace warder::identity
