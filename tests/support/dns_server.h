#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/loop.h"
#include "net/unique_fd.h"
#include "net/watcher.h"

namespace warder::testing {

// A name server that runs on the test's loop and does what the test says: answers over
// UDP, A and AAAA only, and writes down what it was asked. Names it does not know do not exist.
class DnsServer final : private net::FdWatcher::Listener {
 public:
  // On 127.0.0.1 by itself.
  explicit DnsServer(net::Loop& loop, net::Endpoint at = {net::IpAddress::v4({127, 0, 0, 1}), 0});

  // "127.0.0.1:port"
  [[nodiscard]] std::string address() const { return at_.text(); }
  [[nodiscard]] net::Endpoint endpoint() const { return at_; }
  // Answers what was held, and holds nothing more.
  void release();

  std::map<std::string, std::vector<net::IpAddress>> names;
  std::map<std::string, unsigned> ttls;        // in seconds, of records and aliases; else 1
  std::map<std::string, std::string> aliases;  // CNAMEs, each to a name of `names`
  std::set<std::string> held;                  // answered by release()
  std::set<std::string> silent;                // asked for, never answered
  std::set<std::string> failing;               // SERVFAIL
  std::vector<std::string> asked;              // "A example.test", "AAAA example.test"

 private:
  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  [[nodiscard]] std::string answer(const std::string& query);
  [[nodiscard]] unsigned ttl_of(const std::string& name) const;

  void reply_to(const std::string& query, const net::Endpoint& peer);

  net::UniqueFd fd_;
  net::Endpoint at_;
  std::unique_ptr<net::FdWatcher> watcher_;
  std::vector<std::pair<std::string, net::Endpoint>> waiting_;  // questions that are held
};

}  // namespace warder::testing
