#include "identity/socket_finder.h"

#include <algorithm>

namespace warder::identity {

SocketVerdict judge(const Sighting& sighting) {
  SocketVerdict verdict;
  for (const ScopeFinding& finding : sighting) {
    verdict.closed |= finding.kind == ScopeFinding::Kind::closed;
    verdict.unreadable |= finding.kind == ScopeFinding::Kind::unreadable;
    verdict.translated |= finding.translated;
    if (verdict.scopes.empty()) verdict.method = finding.method;
    if (finding.kind != ScopeFinding::Kind::found || finding.sockets.empty()) continue;
    if (verdict.scopes.empty()) verdict.first_inode = finding.sockets.front().inode;
    verdict.scopes.push_back(finding.scope);
    verdict.sockets.insert(verdict.sockets.end(), finding.sockets.begin(), finding.sockets.end());
  }
  // Two scopes may be one namespace, asked in two ways: the one that gave the cookie counts.
  std::sort(verdict.sockets.begin(), verdict.sockets.end(),
            [](const FoundSocket& a, const FoundSocket& b) { return b < a; });
  const auto same_inode = [](const FoundSocket& a, const FoundSocket& b) {
    return a.inode == b.inode;
  };
  verdict.sockets.erase(std::unique(verdict.sockets.begin(), verdict.sockets.end(), same_inode),
                        verdict.sockets.end());
  std::reverse(verdict.sockets.begin(), verdict.sockets.end());
  return verdict;
}

std::string text(const Sighting& sighting) {
  std::string all;
  for (const ScopeFinding& finding : sighting) {
    if (!all.empty()) all += "; ";
    all += finding.scope.name() + ": " + finding.outcome;
  }
  return all;
}

}  // namespace warder::identity
