#include "net/dns_channel.h"

#include <ares.h>
#include <sys/time.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

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

// Whom a channel of c-ares asks.
struct Servers {
  std::vector<std::string> endpoints;
  bool rotate = false;
};

Servers servers_of(const ResolvConf& conf, std::uint16_t port) {
  Servers servers{{}, conf.rotate};
  for (const IpAddress& address : conf.servers) {
    servers.endpoints.push_back(Endpoint{address, port}.text());
  }
  return servers;
}

std::string joined(const std::vector<std::string>& texts, char between) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : std::string(1, between)) + text;
  return all;
}

// A channel of c-ares, for good with the same servers.
class CaresChannel {
 public:
  using Callback = DnsChannel::Callback;

  explicit CaresChannel(Loop& loop)
      : loop_(loop), tick_(loop, [this] {
          ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
          arm();
        }) {}

  ~CaresChannel() {
    closing_ = true;
    // Calls back every query with ARES_EDESTRUCTION.
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;

  Result<void> open(const Servers& servers, std::chrono::milliseconds timeout);
  // As DnsChannel::ask.
  void ask(const std::string& name, Callback callback);
  // No callback is to come. It may be destroyed in a later turn, then, though a callback of its own
  // is on the stack.
  [[nodiscard]] bool idle() const { return in_flight_ == 0; }

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
  ares_channel channel_ = nullptr;
  bool closing_ = false;
  std::size_t in_flight_ = 0;
  std::unordered_map<int, Socket> sockets_;
  Timer tick_;
};

Result<void> CaresChannel::open(const Servers& servers, std::chrono::milliseconds timeout) {
  // Not thread-safe in 1.18 (ares_library_init(3)); every worker opens a channel.
  static std::once_flag initialised;
  std::call_once(initialised, [] { ares_library_init(ARES_LIB_INIT_ALL); });

  ares_options wanted{};
  // No search list: what was approved is what is asked for. HOSTALIASES would rename it too.
  wanted.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  std::string files_then_dns = "fb";
  wanted.lookups = files_then_dns.data();
  // What c-ares makes of a resolv.conf without servers can't be told from one that names 127.0.0.1.
  std::string nothing = "/dev/null";
  wanted.resolvconf_path = nothing.data();
  // Two rounds of all servers, the second twice as long: both end within the deadline of the whole.
  const auto tries = static_cast<std::int64_t>(10 * servers.endpoints.size());
  wanted.timeout = static_cast<int>(std::max<std::int64_t>(timeout.count() * 3 / tries, 1));
  wanted.tries = 2;
  wanted.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<CaresChannel*>(self)->watch_socket(
        fd, (readable != 0 ? UV_READABLE : 0) | (writable != 0 ? UV_WRITABLE : 0));
  };
  wanted.sock_state_cb_data = this;
  int status = ares_init_options(&channel_, &wanted,
                                 ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF |
                                     ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                                     (servers.rotate ? ARES_OPT_ROTATE : 0));
  if (status == ARES_SUCCESS) {
    status = ares_set_servers_ports_csv(channel_, joined(servers.endpoints, ',').c_str());
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

// One channel of c-ares for the servers of today, and those of before that have still to answer.
class FollowingChannel final : public DnsChannel {
 public:
  FollowingChannel(Loop& loop, DnsOptions options) : loop_(loop), options_(std::move(options)) {}

  Result<void> open();
  void ask(const std::string& name, Callback callback) override;
  bool follow() override;

 private:
  static constexpr std::chrono::seconds kLookEvery{1};
  // A file that changes all the time doesn't use up the descriptors.
  static constexpr std::size_t kMostFormer = 8;

  Result<void> use(const Servers& servers);
  void tell(std::string problem);
  void let_go_if_idle(const CaresChannel* channel);

  Loop& loop_;
  const DnsOptions options_;
  std::chrono::nanoseconds looked_at_{0};
  ResolvConf conf_;      // in use
  std::string problem_;  // of the file as it was read last
  std::string asked_;
  std::unique_ptr<CaresChannel> current_;
  std::vector<std::unique_ptr<CaresChannel>> former_;  // none is idle
};

Result<void> FollowingChannel::open() {
  if (!options_.server.empty()) {
    if (Endpoint::parse(options_.server)) return use({{options_.server}, false});
    return fail(Errc::bad_config, "not address:port: " + options_.server);
  }
  looked_at_ = options_.now();
  Result<ResolvConf> conf = read_resolv_conf(options_.resolv_conf);
  if (!conf && conf.error().code != Errc::not_found) return fail(std::move(conf.error()));
  conf_ = conf ? std::move(*conf) : ResolvConf{{IpAddress::v4({127, 0, 0, 1})}, false};
  if (auto used = use(servers_of(conf_, options_.port)); !used) return used;
  if (!conf) tell(describe(conf.error()));
  return {};
}

Result<void> FollowingChannel::use(const Servers& servers) {
  auto next = std::make_unique<CaresChannel>(loop_);
  if (auto opened = next->open(servers, options_.timeout); !opened) return opened;
  asked_ = joined(servers.endpoints, ' ');
  auto former = std::exchange(current_, std::move(next));
  if (!former) return {};
  if (!former->idle()) {
    former_.push_back(std::move(former));
  } else {
    loop_.retire(std::move(former));
  }
  return {};
}

void FollowingChannel::ask(const std::string& name, Callback callback) {
  CaresChannel* asked = current_.get();
  asked->ask(name, [this, asked, callback = std::move(callback)](Result<DnsAnswer> answer) {
    callback(std::move(answer));
    let_go_if_idle(asked);
  });
}

void FollowingChannel::let_go_if_idle(const CaresChannel* channel) {
  const auto found = std::find_if(former_.begin(), former_.end(),
                                  [&](const auto& former) { return former.get() == channel; });
  if (found == former_.end() || !channel->idle()) return;
  loop_.retire(std::move(*found));
  former_.erase(found);
}

bool FollowingChannel::follow() {
  if (!options_.server.empty()) return false;
  const auto now = options_.now();
  if (now - looked_at_ < kLookEvery) return false;
  looked_at_ = now;
  Result<ResolvConf> conf = read_resolv_conf(options_.resolv_conf);
  if (!conf) {
    tell(describe(conf.error()));
    return false;
  }
  if (*conf == conf_) {
    tell({});
    return false;
  }
  // Those before are over soon; the next look finds the file as it is then.
  if (former_.size() >= kMostFormer) return false;
  if (auto used = use(servers_of(*conf, options_.port)); !used) {
    tell(describe(used.error()));
    return false;
  }
  conf_ = std::move(*conf);
  problem_.clear();
  options_.on_servers({asked_, {}});
  return true;
}

// Unless it has been told.
void FollowingChannel::tell(std::string problem) {
  if (problem == problem_) return;
  problem_ = std::move(problem);
  options_.on_servers({asked_, problem_});
}

}  // namespace

Result<std::unique_ptr<DnsChannel>> make_dns_channel(Loop& loop, DnsOptions options) {
  auto channel = std::make_unique<FollowingChannel>(loop, std::move(options));
  if (auto opened = channel->open(); !opened) return fail(std::move(opened.error()));
  return channel;
}

}  // namespace warder::net
