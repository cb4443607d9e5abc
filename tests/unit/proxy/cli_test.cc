#include "proxy/cli.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace warder::proxy {
namespace {

std::optional<Config> last_config;

int remember(const Config& config) {
  last_config = config;
  return 0;
}

int call(std::vector<std::string> arguments) {
  last_config.reset();
  arguments.insert(arguments.begin(), "warder");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return cli_main(static_cast<int>(arguments.size()), argv.data(), remember);
}

// A file with a name of its own, gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    std::ofstream(path_) << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/warder-cli-XXXXXX";
};

}  // namespace

TEST_CASE("run hands the flags on") {
  REQUIRE(call({"run", "--listen", "127.0.0.1:1", "--listen", "[::1]:2", "--admin", "none", "--opa",
                "unix:///run/opa.sock", "--opa-path", "/v1/data/x", "--pid", "7", "--pid=8",
                "--log-level", "debug", "--log-format", "text"}) == 0);
  REQUIRE(last_config);
  REQUIRE(last_config->listen.size() == 2);
  CHECK(last_config->listen[1].text() == "[::1]:2");
  CHECK_FALSE(last_config->admin);
  CHECK(last_config->opa.url == "unix:///run/opa.sock");
  CHECK(last_config->opa.path == "/v1/data/x");
  REQUIRE(last_config->identity.sandboxes.size() == 2);
  CHECK(last_config->identity.sandboxes[0].pid == 7);
  CHECK(last_config->identity.sandboxes[1].pid == 8);
  CHECK(last_config->log.level == LogLevel::debug);
  CHECK(last_config->log.format == LogFormat::text);
}

TEST_CASE("the exit code of run is that of the proxy") {
  std::vector<std::string> arguments{"warder", "run"};
  std::vector<char*> argv{arguments[0].data(), arguments[1].data(), nullptr};
  CHECK(cli_main(2, argv.data(), [](const Config&) { return 1; }) == 1);
}

TEST_CASE("wrong usage is exit code 2 and nothing runs") {
  const std::vector<std::vector<std::string>> wrong{
      {},
      {"serve"},
      {"run", "--no-such-flag"},
      {"run", "stray"},
      {"run", "--listen"},
      {"run", "--listen", "127.0.0.1:1", "127.0.0.1:2"},
      {"run", "--listen", "nonsense"},
      {"run", "--opa", "http://127.0.0.1:1", "--opa", "http://127.0.0.1:2"},
      {"run", "--pid", "-3"},
      {"run", "--config", "/no/such/file"},
      {"identify"},
      {"identify", "--client", "127.0.0.1:1"},
      {"identify", "--client", "127.0.0.1:1", "--proxy", "127.0.0.1"},
      {"identify", "--client", "127.0.0.1:1", "--proxy", ""},
      {"identify", "--client", "127.0.0.1:1", "--proxy", "127.0.0.1:2", "--original", "x"},
      {"identify", "--client", "127.0.0.1:1", "--proxy", "127.0.0.1:2", "--pid", "-3"},
      {"identify", "--client", "127.0.0.1:1", "--proxy", "127.0.0.1:2", "--listen", "127.0.0.1:3"},
      {"identify", "--config", "/no/such/file", "--client", "127.0.0.1:1", "--proxy",
       "127.0.0.1:2"},
      {"doctor", "stray"},
      {"doctor", "--config", "/no/such/file"},
      {"doctor", "--opa", "ftp://x"},
      {"check"},
      {"check", "/no/such/file"},
      {"check", "/"},
  };
  for (const auto& arguments : wrong) {
    CAPTURE(arguments);
    CHECK(call(arguments) == 2);
    CHECK_FALSE(last_config);
  }
}

TEST_CASE("version and help succeed") {
  CHECK(call({"--version"}) == 0);
  CHECK(call({"--help"}) == 0);
  CHECK(call({"run", "--help"}) == 0);
  CHECK_FALSE(last_config);
}

TEST_CASE("check reads a file and does not run") {
  const TemporaryFile good("workers: 2\n");
  const TemporaryFile bad("wokers: 2\n");
  CHECK(call({"check", good.path()}) == 0);
  CHECK(call({"check", bad.path()}) == 2);
  CHECK_FALSE(last_config);
}

TEST_CASE("flags win over the environment and that over the file") {
  const TemporaryFile file("opa: { path: /file, timeout: 1s }\nlog: { level: warn }\n");
  REQUIRE(::setenv("WARDER_OPA_PATH", "/environment", 1) == 0);
  REQUIRE(::setenv("WARDER_OPA_TIMEOUT", "2s", 1) == 0);
  const int code = call({"run", "--config", file.path(), "--opa-path", "/flag"});
  ::unsetenv("WARDER_OPA_PATH");
  ::unsetenv("WARDER_OPA_TIMEOUT");
  REQUIRE(code == 0);
  CHECK(last_config->opa.path == "/flag");
  CHECK(last_config->opa.timeout == std::chrono::seconds(2));
  CHECK(last_config->log.level == LogLevel::warn);
}

}  // namespace warder::proxy
