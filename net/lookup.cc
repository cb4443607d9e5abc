#include "net/lookup.h"

#include <ares.h>
#include <sys/time.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "net/timer.h"

namespace warder::net {
namespace {

using Addresses = std::vector<IpAddress>;

// A domain name has at most 253 characters in text (RFC 1035, 3.1).
constexpr std::size_t kMaxName = 253;
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

// A last label of digits only, as in "0177.0.0.1" or "127.1", is meant as an address, and others
// may read another one in it; c-ares takes the first for 177.0.0.1. No top-level domain is all
// digits.
bool looks_like_address(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// What c-ares would cut short, or take for something else.
bool is_no_name(std::string_view name) {
  return name.empty() || name.size() > kMaxName || name.find('\0') != std::string_view::npos ||
         looks_like_address(name);
}

Addresses addresses_of(const ares_addrinfo& answer) {
  Addresses addresses;
  for (const auto* node = answer.nodes; node != nullptr; node = node->ai_next) {
    const auto endpoint = Endpoint::from_sockaddr(node->ai_addr, node->ai_addrlen);
    if (!endpoint || addresses.size() == kMaxAddresses) continue;
    if (std::find(addresses.begin(), addresses.end(), endpoint->address) == addresses.end()) {
      addresses.push_back(endpoint->address);
    }
  }
  return addresses;
}

class Lookup;
class CaresResolver;

// What c-ares holds. c-ares 1.18 can't cancel one query, so that this outlives its lookup.
struct Query {
  CaresResolver* resolver = nullptr;
  Lookup* lookup = nullptr;  // null once nobody waits
};

class Lookup {
 public:
  Lookup(Loop& loop, std::string name, NameResolver::Callback callback)
      : name_(std::move(name)),
        callback_(std::move(callback)),
        timer_(loop, [this] { report(); }) {}

  [[nodiscard]] const std::string& name() const { return name_; }

  void wait(std::chrono::milliseconds timeout, CaresResolver& resolver, Query& query) {
    resolver_ = &resolver;
    query_ = &query;
    query.lookup = this;
    timer_.start(timeout);
  }

  // The callback gets `result` from the timer: never on the stack of start() or of c-ares.
  void finish(Result<Addresses> result) {
    detach();
    result_ = std::move(result);
    timer_.start(std::chrono::milliseconds(0));
  }

  void cancel() {
    detach();
    timer_.stop();
  }

 private:
  void detach();

  void report() {
    detach();
    auto result = result_ ? std::move(*result_) : fail(Errc::timed_out, name_);
    const auto callback = std::move(callback_);
    callback(std::move(result));
  }

  std::string name_;
  NameResolver::Callback callback_;
  CaresResolver* resolver_ = nullptr;
  Query* query_ = nullptr;  // null when c-ares has answered, or was never asked
  std::optional<Result<Addresses>> result_;
  Timer timer_;
};

class CaresResolver final : public NameResolver {
 public:
  CaresResolver(Loop& loop, NameResolverOptions options)
      : loop_(loop), options_(std::move(options)), tick_(loop, [this] {
          ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
          arm();
        }) {}

  ~CaresResolver() override {
    const auto waiting = std::exchange(lookups_, {});
    for (Lookup* lookup : waiting) lookup->cancel();
    // Calls back every query with ARES_EDESTRUCTION.
    if (channel_ != nullptr) ares_destroy(channel_);
  }
  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;

  Result<void> open();

  [[nodiscard]] std::unique_ptr<NameLookup> start(const std::string& name,
                                                  Callback callback) override;

  void add(Lookup& lookup) { lookups_.insert(&lookup); }
  void remove(Lookup& lookup) { lookups_.erase(&lookup); }

 private:
  class Owned;
  struct Socket {
    Handle<uv_poll_t> poll;
    int events = 0;
  };

  void ask(Lookup& lookup);
  void arm();
  void watch_socket(int fd, int events);
  void on_socket_ready(int fd, int status, int events);
  static void on_poll(uv_poll_t* poll, int status, int events);
  static void on_answer(void* query, int status, int timeouts, ares_addrinfo* answer);

  Loop& loop_;
  NameResolverOptions options_;
  ares_channel channel_ = nullptr;
  std::size_t in_flight_ = 0;  // queries that c-ares holds, with those nobody waits for any more
  std::unordered_map<int, Socket> sockets_;
  std::unordered_set<Lookup*> lookups_;
  Timer tick_;
};

void Lookup::detach() {
  if (query_ != nullptr) query_->lookup = nullptr;
  query_ = nullptr;
  if (resolver_ != nullptr) resolver_->remove(*this);
  resolver_ = nullptr;
}

// The caller's end of a lookup.
class CaresResolver::Owned final : public NameLookup {
 public:
  Owned(Loop& loop, std::unique_ptr<Lookup> lookup) : loop_(loop), lookup_(std::move(lookup)) {}
  ~Owned() override {
    lookup_->cancel();
    // This may be the stack of the lookup's own timer.
    loop_.retire(std::move(lookup_));
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

 private:
  Loop& loop_;
  std::unique_ptr<Lookup> lookup_;
};

Result<void> CaresResolver::open() {
  // Not thread-safe in 1.18 (ares_library_init(3)); every worker opens a resolver.
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
    static_cast<CaresResolver*>(self)->watch_socket(
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

std::unique_ptr<NameLookup> CaresResolver::start(const std::string& name, Callback callback) {
  auto lookup = std::make_unique<Lookup>(loop_, name, std::move(callback));
  if (const auto literal = IpAddress::parse(name)) {
    lookup->finish(Addresses{*literal});
  } else if (is_no_name(name)) {
    lookup->finish(fail(Errc::name_not_found, name + ": not a domain name"));
  } else if (in_flight_ >= options_.max_in_flight) {
    lookup->finish(fail(Errc::overloaded, "too many lookups in flight"));
  } else {
    ask(*lookup);
  }
  return std::make_unique<Owned>(loop_, std::move(lookup));
}

void CaresResolver::ask(Lookup& lookup) {
  auto query = std::make_unique<Query>();
  query->resolver = this;
  add(lookup);
  lookup.wait(options_.timeout, *this, *query);
  ++in_flight_;
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // May call back before it returns (names of /etc/hosts).
  ares_getaddrinfo(channel_, lookup.name().c_str(), nullptr, &hints, &on_answer, query.release());
  arm();
}

void CaresResolver::on_answer(void* arg, int status, int /*timeouts*/, ares_addrinfo* answer) {
  const std::unique_ptr<Query> query(static_cast<Query*>(arg));
  const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owned(answer,
                                                                           &ares_freeaddrinfo);
  --query->resolver->in_flight_;
  Lookup* lookup = query->lookup;
  if (lookup == nullptr) return;
  if (status != ARES_SUCCESS) return lookup->finish(fail(lookup_error(status, lookup->name())));
  auto addresses = answer == nullptr ? Addresses{} : addresses_of(*answer);
  if (addresses.empty()) {
    return lookup->finish(fail(lookup_error(ARES_ENODATA, lookup->name())));
  }
  lookup->finish(std::move(addresses));
}

void CaresResolver::arm() {
  if (in_flight_ == 0) return tick_.stop();
  timeval most{1, 0};
  timeval next{};
  ares_timeout(channel_, &most, &next);
  tick_.start(std::chrono::milliseconds(next.tv_sec * 1000 + next.tv_usec / 1000 + 1));
}

// Called by c-ares; with no events just before it closes the descriptor.
void CaresResolver::watch_socket(int fd, int events) {
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
  uv_poll_start(socket.poll.get(), events, &CaresResolver::on_poll);
}

void CaresResolver::on_poll(uv_poll_t* poll, int status, int events) {
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(poll), &fd) != 0) return;
  static_cast<CaresResolver*>(poll->data)->on_socket_ready(fd, status, events);
}

void CaresResolver::on_socket_ready(int fd, int status, int events) {
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

Result<std::unique_ptr<NameResolver>> make_name_resolver(Loop& loop, NameResolverOptions options) {
  auto resolver = std::make_unique<CaresResolver>(loop, std::move(options));
  if (auto opened = resolver->open(); !opened) return fail(std::move(opened.error()));
  return resolver;
}

}  // namespace warder::net
