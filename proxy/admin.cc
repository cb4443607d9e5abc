#include "proxy/admin.h"

#include <fmt/format.h>
#include <httplib.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "proxy/admin_socket.h"
#include "proxy/config_values.h"
#include "proxy/signals_blocked.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kThreads = 4;
constexpr std::size_t kMaxBody = 1024;
constexpr std::size_t kMaxDetail = 1024;
constexpr std::size_t kMaxRequests = 100;  // on one connection
constexpr time_t kSeconds = 2;             // for a read, a write, or the next request
constexpr auto kStopTimeout = 2s;

std::string checks_as_json(const std::vector<Check>& checks, bool ready) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>> json(buffer);
  json.StartObject();
  json.Key("ready");
  json.Bool(ready);
  json.Key("checks");
  json.StartArray();
  for (const Check& check : checks) {
    json.StartObject();
    json.Key("name");
    json.String(valid_utf8(check.name, kMaxDetail));
    json.Key("ok");
    json.Bool(check.ok);
    json.Key("required");
    json.Bool(check.required);
    json.Key("detail");
    json.String(valid_utf8(check.detail, kMaxDetail));
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

// What the server's threads use. They own it together with the AdminServer, because cpp-httplib
// bounds each read but not a request: a client that sends a byte now and then keeps a thread for as
// long as it likes, and is left behind when the server stops.
struct HttpState {
  httplib::Server server;
  std::atomic<bool> failed{false};  // listening ended without being asked to

  std::mutex mutex;
  std::condition_variable changed;
  std::function<std::vector<Check>()> readiness;  // empty once the server is destroyed
  const Metrics* metrics = nullptr;               // so is this
  bool ended = false;
};

void answer_ready(HttpState& shared, httplib::Response& response) {
  std::vector<Check> checks;
  {
    const std::lock_guard lock(shared.mutex);
    if (shared.readiness) {
      checks = shared.readiness();
    } else {
      checks.push_back({"running", false, true, "stopping"});
    }
  }
  bool ready = true;
  for (const Check& check : checks) ready = ready && (check.ok || !check.required);
  response.status = ready ? 200 : 503;
  response.set_content(checks_as_json(checks, ready), "application/json");
}

void answer_metrics(HttpState& shared, httplib::Response& response) {
  const std::lock_guard lock(shared.mutex);
  if (shared.metrics == nullptr) {
    response.status = 503;
    return;
  }
  response.set_content(shared.metrics->serialize(), "text/plain; version=0.0.4; charset=utf-8");
}

void set_up(HttpState& shared, bool is_unix) {
  httplib::Server& server = shared.server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_tcp_nodelay(true);
  server.set_payload_max_length(kMaxBody);
  server.set_keep_alive_max_count(kMaxRequests);
  server.set_keep_alive_timeout(kSeconds);
  server.set_read_timeout(kSeconds);
  server.set_write_timeout(kSeconds);
  // The default sets SO_REUSEPORT: a second process would share the port instead of failing.
  server.set_socket_options([is_unix](socket_t fd) {
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Before bind(2): Linux gives the file the mode of the socket's inode (net/unix/af_unix.c),
    // so there is no moment in which others can connect. The umask belongs to the whole process.
    if (is_unix) ::fchmod(fd, S_IRUSR | S_IWUSR);
  });
  server.Get("/healthz", [](const httplib::Request& /*request*/, httplib::Response& response) {
    response.set_content("ok\n", "text/plain");
  });
  // The handlers live in the server, which lives in `shared`.
  server.Get("/readyz", [&shared](const httplib::Request& /*request*/,
                                  httplib::Response& response) { answer_ready(shared, response); });
  server.Get("/metrics",
             [&shared](const httplib::Request& /*request*/, httplib::Response& response) {
               answer_metrics(shared, response);
             });
}

class HttpAdmin final : public AdminServer {
 public:
  HttpAdmin() : shared_(std::make_shared<HttpState>()) {}
  HttpAdmin(const HttpAdmin&) = delete;
  HttpAdmin& operator=(const HttpAdmin&) = delete;
  ~HttpAdmin() override { stop(); }

  [[nodiscard]] std::string address() const override { return address_; }

  Result<void> start(const AdminAddress& address, std::function<std::vector<Check>()> readiness,
                     const Metrics& metrics) {
    shared_->readiness = std::move(readiness);
    shared_->metrics = &metrics;
    set_up(*shared_, !address.endpoint);
    if (auto bound =
            address.endpoint ? bind_tcp(*address.endpoint) : bind_unix(address.socket_path);
        !bound) {
      return bound;
    }
    const SignalsBlocked blocked;
    thread_ = std::thread([shared = shared_] { serve(*shared); });
    // Until it runs, stop() would do nothing, and there is nothing to wait on.
    while (!shared_->server.is_running() && !shared_->failed) std::this_thread::sleep_for(1ms);
    if (shared_->failed) return fail(Errc::system, "the admin server can't listen");
    return {};
  }

 private:
  static void serve(HttpState& shared) {
    shared.failed = !shared.server.listen_after_bind();
    const std::lock_guard lock(shared.mutex);
    shared.ended = true;
    shared.changed.notify_all();
  }

  Result<void> bind_tcp(const net::Endpoint& endpoint) {
    errno = 0;
    const std::string host = endpoint.address.text();
    int port = endpoint.port;
    const bool bound = port == 0 ? (port = shared_->server.bind_to_any_port(host)) > 0
                                 : shared_->server.bind_to_port(host, port);
    if (!bound) return fail(from_errno(errno, "admin address " + endpoint.text()));
    address_ = net::Endpoint{endpoint.address, static_cast<std::uint16_t>(port)}.text();
    return {};
  }

  Result<void> bind_unix(const std::string& path) {
    auto file = SocketFile::prepare(path);
    if (!file) return fail(std::move(file.error()));
    errno = 0;
    shared_->server.set_address_family(AF_UNIX);
    // The port means nothing here, but 0 would make it ask for the one it got.
    if (!shared_->server.bind_to_port(file->bind_path(), 1)) {
      return fail(from_errno(errno, "admin socket " + path));
    }
    if (auto published = file->publish(); !published) return published;
    file_ = std::move(*file);
    address_ = "unix:" + path;
    return {};
  }

  void stop() {
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->readiness = nullptr;
      shared_->metrics = nullptr;
    }
    if (file_) file_->remove();
    if (!thread_.joinable()) return;
    shared_->server.stop();
    bool ended = false;
    {
      std::unique_lock lock(shared_->mutex);
      ended = shared_->changed.wait_for(lock, kStopTimeout, [this] { return shared_->ended; });
    }
    if (ended) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }

  const std::shared_ptr<HttpState> shared_;
  std::optional<SocketFile> file_;
  std::string address_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<AdminServer>> make_admin(const AdminAddress& address,
                                                std::function<std::vector<Check>()> readiness,
                                                const Metrics& metrics) {
  // The same rule as in the configuration, for those who don't come through it.
  std::optional<AdminAddress> checked;
  if (const std::string problem = read_admin(show(std::optional(address)), checked);
      !problem.empty()) {
    return fail(Errc::bad_config, "admin " + problem);
  }
  try {
    auto server = std::make_unique<HttpAdmin>();
    if (auto started = server->start(address, std::move(readiness), metrics); !started) {
      return fail(std::move(started.error()));
    }
    return server;
  } catch (const std::exception& error) {
    return fail(Errc::system, fmt::format("the admin server can't start: {}", error.what()));
  }
}

}  // namespace warder::proxy
