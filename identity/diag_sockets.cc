#include "identity/diag_sockets.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "identity/proc_files.h"

namespace warder::identity {
namespace {

// False when it may hide another one that is not asked for: the tables show all of them.
bool add(const DiagSocket& socket, bool& closed, ScopeFinding& finding) {
  // Who is still connecting is not the other end of a connection that was accepted.
  if (socket.state == kTcpSynSent) return false;
  if (socket.inode == 0)
    closed = true;
  else
    finding.sockets.push_back({socket.inode, socket.cookie});
  return true;
}

std::string text(const SocketEnds& ends) {
  return ends.local.unmapped().text() + " dialled " + ends.remote.unmapped().text();
}

}  // namespace

void DiagReader::begin(std::span<const Question> questions) {
  questions_ = questions;
  tables_.begin(questions);
}

void DiagReader::ask(const Place& place, std::size_t i, ScopeFinding& finding) {
  const auto view = views_.view(place);
  if (!view) return ask_tables(place, i, cause_of(view.error()), finding);
  const Question& question = questions_[i];
  // In our own namespace no socket has an address that isn't there, but for one that may fake any.
  const auto bound = place.ours && !question.maybe_local ? SockDiag::Bound::ignored
                     : at_once(effort_)                  ? SockDiag::Bound::seen_at_once
                                                         : SockDiag::Bound::seen;
  const auto found = (*view)->find(question.ends, bound);
  if (!found) {
    const std::string reason = cause_of(found.error());
    if (!at_once(effort_)) views_.drop(place);
    return ask_tables(place, i, reason, finding);
  }
  bool closed = false;
  for (const DiagSocket& socket : *found) {
    if (add(socket, closed, finding)) continue;
    finding.sockets.clear();
    return ask_tables(place, i, "a socket that is still connecting has these ends", finding);
  }
  finding.method = "sock_diag";
  if (!conclude(closed, finding)) finding.outcome = "no such socket";
}

void DiagReader::ask_tables(const Place& place, std::size_t i, std::string_view reason,
                            ScopeFinding& finding) {
  if (!may_wait(effort_)) {
    finding.kind = ScopeFinding::Kind::unreadable;
    return;
  }
  tables_.ask(place, i, finding);
  finding.outcome += " (not by sock_diag: " + std::string(reason) + ")";
}

void DiagReader::ask_translated(const Place& place, std::size_t i, ScopeFinding& finding) {
  const Question& question = questions_[i];
  if (question.proxy.address.is_v4() != question.client.address.is_v4()) return;
  const auto view = views_.view(place);
  if (!view) return;  // told before
  const auto dialled = (*view)->dialled(question.proxy, question.client);
  if (!dialled) {
    finding.outcome += "; connection tracking gave no answer: " + cause_of(dialled.error());
    return;
  }
  const auto& asked = question.ends;
  if (!*dialled || std::find(asked.begin(), asked.end(), **dialled) != asked.end()) return;
  const auto found = (*view)->find(std::array{**dialled}, SockDiag::Bound::seen);
  if (!found) {
    finding.kind = ScopeFinding::Kind::unreadable;
    finding.outcome += "; " + text(**dialled) + ": not readable: " + cause_of(found.error());
    views_.drop(place);
    return;
  }
  bool closed = false;
  for (const DiagSocket& socket : *found) (void)add(socket, closed, finding);
  finding.translated = !conclude(closed, finding);
  if (finding.translated)
    finding.outcome = "no such socket, though connection tracking knows that " + text(**dialled);
  else
    finding.outcome += " (by connection tracking: " + text(**dialled) + ")";
}

}  // namespace warder::identity
