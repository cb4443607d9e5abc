#include "tests/component/identity/client.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdlib>

#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::testing {
namespace {

struct Pipe {
  net::UniqueFd read, write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  return {net::UniqueFd(ends[0]), net::UniqueFd(ends[1])};
}

bool readable_within_ten_seconds(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  return ::poll(&wanted, 1, 10000) == 1;
}

}  // namespace

const std::string kClientProgram = std::filesystem::canonical(WARDER_IDENTITY_CLIENT).string();

ProgramCopy::ProgramCopy(const std::string& name) {
  std::string directory =
      (std::filesystem::temp_directory_path() / "warder-client-XXXXXX").string();
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  directory_ = std::filesystem::canonical(directory).string();
  path_ = directory_ + "/" + name;
  std::filesystem::copy_file(WARDER_IDENTITY_CLIENT, path_);
}

ProgramCopy::~ProgramCopy() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Client::Client(const std::string& program) {
  const Pipe in = make_pipe();
  Pipe out = make_pipe();
  posix_spawn_file_actions_t actions;
  REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
  ::posix_spawn_file_actions_adddup2(&actions, in.read.get(), 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.write.get(), 1);
  std::string name = program;
  std::array<char*, 2> arguments{name.data(), nullptr};
  const int failed =
      ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  REQUIRE(failed == 0);
  to_ = net::UniqueFd(::fcntl(in.write.get(), F_DUPFD_CLOEXEC, 0));
  from_ = std::move(out.read);
}

Client::~Client() { kill(); }

std::string Client::tell(const std::string& command) {
  const std::string line = command + "\n";
  REQUIRE(::write(to_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
  std::string answer;
  for (char byte = 0; byte != '\n';) {
    REQUIRE(readable_within_ten_seconds(from_.get()));
    REQUIRE(::read(from_.get(), &byte, 1) == 1);
    if (byte != '\n') answer += byte;
  }
  return answer;
}

void Client::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
}

Gate::Gate(const std::string& address) {
  auto listening = listen_somewhere(*net::IpAddress::parse(address));
  listener_ = std::move(listening.fd);
  at_ = listening.at;
}

identity::Connection Gate::let_in(Client& client, const std::string& command) {
  REQUIRE(client.tell(command + " " + at_.address.text() + " " + std::to_string(at_.port)) == "ok");
  REQUIRE(readable_within_ten_seconds(listener_.get()));
  auto accepted = net::accept_tcp(listener_.get());
  REQUIRE(accepted);
  REQUIRE(accepted->has_value());
  accepted_ = std::move((*accepted)->fd);
  return {(*accepted)->peer, at_, {}};
}

}  // namespace warder::testing
