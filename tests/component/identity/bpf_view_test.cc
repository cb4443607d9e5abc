#include "identity/bpf/bpf_view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>

#include "tests/component/identity/client.h"

namespace warder::identity {
namespace {

const std::string kClient = std::filesystem::canonical(WARDER_IDENTITY_CLIENT).string();

class BpfViewTest {
 public:
  BpfViewTest() {
    for (const Ability& ability : opened_.abilities) {
      INFO(ability.name << ": " << ability.detail);
      REQUIRE(ability.available);
    }
  }

  SocketPass pass(std::uint64_t inode, pid_t pid, bool others = false) {
    auto result = opened_.view->pass({&inode, 1}, pid, others);
    if (!result) UNSCOPED_INFO(describe(result.error()));
    REQUIRE(result);
    return *result;
  }
  std::optional<Connector> connector(std::uint64_t cookie) {
    auto result = opened_.view->connector(cookie);
    REQUIRE(result);
    return *result;
  }

 protected:
  BpfView opened_ = open_bpf_view(net::UniqueFd(::open("/proc", O_PATH | O_CLOEXEC)).get());
};

struct Ids {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
};

// Of the one TCP socket that the process has.
Ids socket_of(pid_t pid) {
  const net::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Ids ids;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    const int number = std::stoi(entry.path().filename());
    const net::UniqueFd copy(
        static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
    socklen_t size = sizeof ids.cookie;
    struct stat info {};
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_COOKIE, &ids.cookie, &size) != 0) continue;
    REQUIRE(::fstat(copy.get(), &info) == 0);
    ids.inode = info.st_ino;
  }
  REQUIRE(ids.inode != 0);
  return ids;
}

}  // namespace

TEST_CASE_METHOD(BpfViewTest, "a plain client connected and holds the only reference",
                 "[identity][bpf]") {
  testing::Client client(kClient);
  const auto [address, command] =
      GENERATE(std::pair("127.0.0.1", "connect"), std::pair("::1", "connect"),
               std::pair("127.0.0.1", "connect-mapped"));
  testing::Gate gate(address);
  (void)gate.let_in(client, command);
  const Ids ids = socket_of(client.pid());
  const SocketPass seen = pass(ids.inode, client.pid());
  REQUIRE(seen.tasks.size() == 1);
  REQUIRE(seen.held.size() == 1);
  CHECK(seen.held.front().references == 1);
  CHECK(seen.held.front().waiting == 0);
  CHECK(seen.held.front().steady);
  CHECK(seen.held.front().thread == client.pid());
  const KernelTask& task = seen.tasks.front().task;
  CHECK(task.pid == client.pid());
  CHECK(task.image.inode != 0);
  const auto who = connector(ids.cookie);
  REQUIRE(who);
  CHECK(who->task == task);
  CHECK(who->uid == ::getuid());
}

}  // namespace warder::identity
