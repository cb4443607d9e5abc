#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/bpf/bpf_view.h"
#include "net/unique_fd.h"
#include "tests/component/identity/client.h"

namespace warder::testing {

// A TCP socket in the kernel's terms.
struct Ids {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
};

// Of the last TCP socket in the tables of the threads of `pid`.
[[nodiscard]] net::UniqueFd copy_of_socket(pid_t pid);
[[nodiscard]] Ids socket_of(pid_t pid);
// Until the first thread of `pid` sleeps in that system call; fails after ten seconds.
void wait_until_in_call(pid_t pid, int number);

[[nodiscard]] identity::BpfView open_view();

class BpfFixture {
 public:
  BpfFixture();

  // The client's connection to a gate that this keeps.
  Ids connect(Client& client, const std::string& command = "connect",
              const std::string& address = "127.0.0.1");
  // As that, where the client's child obeys.
  Ids connect_in_child(Client& client);
  identity::SocketPass pass(std::uint64_t inode, pid_t pid, bool others = false);
  // Passes until they show so many descriptors, each with so many references and waiting calls;
  // fails after ten seconds. A thread may be on its way into its call, and another view's pass on
  // this machine has a reference too while it looks.
  identity::SocketPass counted(std::uint64_t inode, pid_t pid, std::size_t descriptors,
                               std::uint64_t references, std::uint32_t waiting);
  std::optional<identity::Connector> connector(std::uint64_t cookie);

 protected:
  identity::BpfView opened_ = open_view();

 private:
  std::vector<std::unique_ptr<Gate>> gates_;
};

}  // namespace warder::testing
