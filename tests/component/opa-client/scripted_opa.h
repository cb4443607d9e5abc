#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"
#include "net/unique_fd.h"
#include "net/watcher.h"
#include "opa-client/client.h"

namespace warder::testing {

class ScriptedOpa;

// One accepted connection of a ScriptedOpa.
class Peer final : private net::FdWatcher::Listener {
 public:
  Peer(ScriptedOpa& server, net::UniqueFd fd, int number);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void send(std::string_view bytes);
  // One byte a turn of the loop.
  void send_slowly(std::string bytes);
  // An orderly end after what was sent, or a reset. The peer is gone afterwards.
  void close();
  void reset();

  [[nodiscard]] int number() const { return number_; }  // in the order accepted, from 1

 private:
  friend class ScriptedOpa;

  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void flush();
  bool take_request(std::string& request);
  void go();

  ScriptedOpa& server_;
  int number_;
  net::UniqueFd fd_;
  std::unique_ptr<net::FdWatcher> watcher_;
  net::Timer slow_;
  std::string in_, out_, out_slowly_;
  bool close_when_sent_ = false;
};

// Plays OPA on the test's own loop. What it answers is the test's to say.
class ScriptedOpa final : private net::FdWatcher::Listener {
 public:
  using Handler = std::function<void(Peer&)>;

  // Listens at once. An `at` with port 0 takes a free one; address() says which.
  ScriptedOpa(net::Loop& loop, const opa::Address& at);
  ~ScriptedOpa();
  ScriptedOpa(const ScriptedOpa&) = delete;
  ScriptedOpa& operator=(const ScriptedOpa&) = delete;

  [[nodiscard]] const opa::Address& address() const { return address_; }

  Handler on_request = [](Peer&) {};  // a whole request has arrived (requests.back())
  Handler on_accept = [](Peer&) {};

  std::vector<std::string> requests;  // head and body, in the order they arrived
  int accepted = 0;
  int ended = 0;  // connections that the client has closed

  // Those open now.
  [[nodiscard]] std::vector<Peer*> peers();

 private:
  friend class Peer;

  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void drop(Peer& peer);

  net::Loop& loop_;
  opa::Address address_;
  net::UniqueFd listener_;
  std::unique_ptr<net::FdWatcher> watcher_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

// A response with a Content-Length.
[[nodiscard]] std::string response(std::string_view body, std::string_view status = "200 OK",
                                   std::string_view headers = "");

}  // namespace warder::testing
