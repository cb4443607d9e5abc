#include "identity/socket_finder.h"

#include <algorithm>

namespace warder::identity {

SocketVerdict judge(const Sighting& sighting) {
  SocketVerdict verdict;
  for (const ScopeFinding& finding : sighting) {
    verdict.closed |= finding.kind == ScopeFinding::Kind::closed;
    verdict.unreadable |= finding.kind == ScopeFinding::Kind::unreadable;
    if (finding.kind != ScopeFinding::Kind::found || finding.inodes.empty()) continue;
    if (verdict.scopes.empty()) verdict.first_inode = finding.inodes.front();
    verdict.scopes.push_back(finding.scope);
    verdict.inodes.insert(verdict.inodes.end(), finding.inodes.begin(), finding.inodes.end());
  }
  std::sort(verdict.inodes.begin(), verdict.inodes.end());
  verdict.inodes.erase(std::unique(verdict.inodes.begin(), verdict.inodes.end()),
                       verdict.inodes.end());
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
