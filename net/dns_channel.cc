#include "net/dns_channel.h"

#include <ares.h>
#include <sys/time.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "net/timer.h"

namespace warder::net {
namespace {

// An answer over TCP could hold thousands of addresses.
constexpr std::size_t kMaxAddresses = 64;

Error lookup_error(int status, const std::string& name) {
  std::string detail = name + ": " + ares_strerror(status);
  switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME: return {Errc::name_not_found, 0, std::move(detail)};
    case ARES_ETIMEOUT: return {Errc::timed_out, 0, std::move(detail)};
    default: return {Errc::name_failed, 0, std::move(detail)};
  }
}

std::vector<IpAddress> addresses_of(const ares_addrinfo& answer) {
  std::vector<IpAddress> addresses;
  for (const auto* node = answer.nodes; node != nullptr; node = node->ai_next) {
    const auto endpoint = Endpoint::from_sockaddr(node->ai_addr, node->ai_addrlen);
    if (!endpoint || addresses.size() == kMaxAddresses) continue;
    if (std::find(addresses.begin(), addresses.end(), endpoint->address) == addresses.end()) {
      addresses.push_back(endpoint->address);
    }
  }
  return addresses;
}

std::chrono::seconds ttl_of(const ares_addrinfo& answer) {
  int least = answer.nodes->ai_ttl;
  for (const auto* node = answer.nodes; node != nullptr; node = node->ai_next) {
    least = std::min(least, node->ai_ttl);
  }
  for (const auto* alias = answer.cnames; alias != nullptr; alias = alias->next) {
    least = std::min(least, alias->ttl);
  }
  // RFC 2181 section 8: with the highest bit set it is 0.
  return std::chrono::seconds(std::max(least, 0));
}

Result<DnsAnswer> answer_of(int status, const ares_addrinfo* answer, const std::string& name) {
  if (status != ARES_SUCCESS) return fail(lookup_error(status, name));
  if (answer == nullptr || answer->nodes == nullptr) return fail(lookup_error(ARES_ENODATA, name));
  DnsAnswer given{addresses_of(*answer), ttl_of(*answer)};
  if (given.addresses.empty()) return fail(lookup_error(ARES_ENODATA, name));
  return given;
}

class CaresChannel final : public DnsChannel {
 public:
  CaresChannel(Loop& loop, DnsOptions options)
      : loop_(loop), options_(std::move(options)), tick_(loop, [this] {
          ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
          arm();
        }) {}

  ~CaresChannel() override {
    closing_ = true;
    // Calls back every query with ARES_EDESTRUCTION.
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  Result<void> open();
  void ask(const std::string& name, Callback callback) override;

 private:
  // What c-ares holds.
  struct Query {
    CaresChannel& channel;
    std::string name;
    Callback callback;
  };
  struct Socket {
    Handle<uv_poll_t> poll;
    int events = 0;
  };

  void arm();
  void watch_socket(int fd, int events);
  void on_socket_ready(int fd, int status, int events);
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_answer(void* query, int status, int timeouts, ares_addrinfo* answer);

  Loop& loop_;
  const DnsOptions options_;
  ares_channel channel_ = nullptr;
  bool closing_ = false;
  std::size_t in_flight_ = 0;
  std::unordered_map<int, Socket> sockets_;
  Timer tick_;
};

Result<void> CaresChannel::open() {
  // Not thread-safe in 1.18 (ares_library_init(3)); every worker opens a channel.
  static std::once_flag initialised;
  std::call_once(initialised, [] { ares_library_init(ARES_LIB_INIT_ALL); });

  if (!options_.server.empty() && !Endpoint::parse(options_.server)) {
    return fail(Errc::bad_config, "not address:port: " + options_.server);
  }
  ares_options wanted{};
  // No search list: what was approved is what is asked for. HOSTALIASES would rename it too.
  wanted.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  std::string files_then_dns = "fb";
  wanted.lookups = files_then_dns.data();
  // Two tries, the second twice as long: both end within the deadline of the whole.
  wanted.timeout = static_cast<int>(std::max<std::int64_t>(options_.timeout.count() * 3 / 10, 1));
  wanted.tries = 2;
  wanted.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<CaresChannel*>(self)->watch_socket(
        fd, (readable != 0 ? UV_READABLE : 0) | (writable != 0 ? UV_WRITABLE : 0));
  };
  wanted.sock_state_cb_data = this;
  int status = ares_init_options(&channel_, &wanted,
                                 ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_TIMEOUTMS |
                                     ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
  if (status == ARES_SUCCESS && !options_.server.empty()) {
    status = ares_set_servers_ports_csv(channel_, options_.server.c_str());
  }
  if (status != ARES_SUCCESS) {
    return fail(Errc::system, std::string("opening the name resolver: ") + ares_strerror(status));
  }
  return {};
}

void CaresChannel::ask(const std::string& name, Callback callback) {
  auto query = std::unique_ptr<Query>(new Query{*this, name, std::move(callback)});
  ++in_flight_;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // May call back before it returns (names of /etc/hosts).
  ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, &on_answer, query.release());
  arm();
}

void CaresChannel::on_answer(void* arg, int status, int /*timeouts*/, ares_addrinfo* answer) {
  const std::unique_ptr<Query> query(static_cast<Query*>(arg));
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(answer,
                                                                           &ares_freeaddrinfo);
  --query->channel.in_flight_;
  if (query->channel.closing_) return;
  query->callback(answer_of(status, answer, query->name));
}

void CaresChannel::arm() {
  if (in_flight_ == 0) return tick_.stop();
  timeval most{1, 0};
  timeval next{};
  ares_timeout(channel_, &most, &next);
  tick_.start(std::chrono::milliseconds(next.tv_sec * 1000 + next.tv_usec / 1000 + 1));
}

// Called by c-ares; with no events just before it closes the descriptor.
void CaresChannel::watch_socket(int fd, int events) {
  if (events == 0) {
    sockets_.erase(fd);
    return;
  }
  Socket& socket = sockets_[fd];
  socket.events = events;
  if (!socket.poll) {
    auto raw = std::make_unique<uv_poll_t>();
    if (uv_poll_init(loop_.uv(), raw.get(), fd) != 0) {
      // Out of memory or of epoll watches: nothing is heard from this socket, and time runs out.
      sockets_.erase(fd);
      return;
    }
    socket.poll.reset(raw.release());
    socket.poll->data = this;
  }
  uv_poll_start(socket.poll.get(), events, &CaresChannel::on_poll);
}

void CaresChannel::on_poll(uv_poll_t* poll, int status, int events) {
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(poll), &fd) != 0) return;
  static_cast<CaresChannel*>(poll->data)->on_socket_ready(fd, status, events);
}

void CaresChannel::on_socket_ready(int fd, int status, int events) {
  // An error (libuv says UV_EBADF for EPOLLERR) shows when c-ares uses the socket.
  const bool readable = status < 0 || (events & UV_READABLE) != 0;
  const bool writable = status < 0 || (events & UV_WRITABLE) != 0;
  ares_process_fd(channel_, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
  // libuv stopped watching on the error; c-ares may keep the socket.
  const auto kept = sockets_.find(fd);
  if (status < 0 && kept != sockets_.end()) watch_socket(fd, kept->second.events);
  arm();
}

}  // namespace

Result<std::unique_ptr<DnsChannel>> make_dns_channel(Loop& loop, DnsOptions options) {
  auto channel = std::make_unique<CaresChannel>(loop, std::move(options));
  if (auto opened = channel->open(); !opened) return fail(std::move(opened.error()));
  return channel;
}

}  // namespace warder::net
