#include "net/lookup.h"

#include <algorithm>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "net/dns_channel.h"
#include "net/name_cache.h"
#include "net/timer.h"

namespace warder::net {
namespace {

using Addresses = std::vector<IpAddress>;

// A domain name has at most 253 characters in text (RFC 1035, 3.1).
constexpr std::size_t kMaxName = 253;
constexpr std::chrono::seconds kNegativeTtl{2};
// For each name that may be in flight, so many more may wait.
constexpr std::size_t kWaitingPerInFlight = 4;

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

class Lookup;
class CachingResolver;

// A name that is asked for, or will be. Once asked, it stays where it is until it is answered.
struct Query {
  CachingResolver& resolver;
  std::string name;
  std::list<Lookup*> wanted_by;
  bool asked = false;
  std::chrono::nanoseconds asked_at{0};
};

class Lookup {
 public:
  Lookup(Loop& loop, NameResolver::Callback callback)
      : callback_(std::move(callback)), timer_(loop, [this] { report(); }) {}

  void wait(std::chrono::milliseconds timeout, Query& query) {
    query_ = &query;
    place_ = query.wanted_by.insert(query.wanted_by.end(), this);
    timer_.start(timeout);
  }

  // The callback gets `result` from the timer: never on the stack of start() or of c-ares.
  void finish(Result<Addresses> result) {
    leave();
    result_ = std::move(result);
    timer_.start(std::chrono::milliseconds(0));
  }

  void cancel() {
    leave();
    timer_.stop();
  }

 private:
  void leave();

  void report() {
    if (!result_) result_ = fail(Errc::timed_out, query_ != nullptr ? query_->name : "");
    leave();
    const auto callback = std::move(callback_);
    callback(std::move(*result_));
  }

  NameResolver::Callback callback_;
  Query* query_ = nullptr;  // null when it is answered, or was never needed
  std::list<Lookup*>::iterator place_;
  std::optional<Result<Addresses>> result_;
  Timer timer_;
};

class CachingResolver final : public NameResolver {
 public:
  CachingResolver(Loop& loop, NameResolverOptions options, std::unique_ptr<DnsChannel> channel)
      : loop_(loop),
        options_(std::move(options)),
        cache_(options_.cache_entries, options_.now),
        channel_(std::move(channel)) {}

  ~CachingResolver() override {
    channel_.reset();
    for (const auto& [name, query] : queries_) cancel(*query);
    for (const auto& query : former_) cancel(*query);
  }
  CachingResolver(const CachingResolver&) = delete;
  CachingResolver& operator=(const CachingResolver&) = delete;

  [[nodiscard]] std::unique_ptr<NameLookup> start(const std::string& name,
                                                  Callback callback) override;
  // Nobody wants it any more.
  void abandoned(Query& query);

 private:
  class Owned;

  static void cancel(Query& query);
  void look_up(const std::string& name, Lookup& lookup);
  void forget();
  void ask_next();
  void on_answer(Query& answered, const Result<DnsAnswer>& answer);
  void remember(const Query& query, const Result<DnsAnswer>& answer);

  Loop& loop_;
  const NameResolverOptions options_;
  NameCache cache_;
  std::unordered_map<std::string_view, std::unique_ptr<Query>> queries_;  // names are theirs
  std::list<Query*> waiting_;                                             // of them, in order
  // Of servers that aren't asked any more: they are answered, but nobody joins them.
  std::list<std::unique_ptr<Query>> former_;
  std::size_t in_flight_ = 0;  // of both, with those nobody wants any more
  bool asking_ = false;
  std::unique_ptr<DnsChannel> channel_;
};

void Lookup::leave() {
  if (query_ == nullptr) return;
  Query& query = *std::exchange(query_, nullptr);
  query.wanted_by.erase(place_);
  if (query.wanted_by.empty() && !query.asked) query.resolver.abandoned(query);
}

// The caller's end of a lookup.
class CachingResolver::Owned final : public NameLookup {
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

std::unique_ptr<NameLookup> CachingResolver::start(const std::string& name, Callback callback) {
  auto lookup = std::make_unique<Lookup>(loop_, std::move(callback));
  if (const auto literal = IpAddress::parse(name)) {
    lookup->finish(Addresses{*literal});
  } else if (is_no_name(name)) {
    lookup->finish(fail(Errc::name_not_found, name + ": not a domain name"));
  } else {
    look_up(name, *lookup);
  }
  return std::make_unique<Owned>(loop_, std::move(lookup));
}

void CachingResolver::cancel(Query& query) {
  const std::list<Lookup*> waiting = query.wanted_by;
  query.asked = true;  // so that the last to leave doesn't take it away
  for (Lookup* lookup : waiting) lookup->cancel();
}

void CachingResolver::look_up(const std::string& name, Lookup& lookup) {
  if (channel_->follow()) forget();
  if (const NameCache::Answer* known = cache_.find(name)) {
    options_.on_lookup(LookupSource::cached);
    return lookup.finish(*known);
  }
  if (const auto query = queries_.find(name); query != queries_.end()) {
    options_.on_lookup(LookupSource::joined);
    return lookup.wait(options_.timeout, *query->second);
  }
  if (waiting_.size() >= kWaitingPerInFlight * options_.max_in_flight) {
    options_.on_lookup(LookupSource::refused);
    return lookup.finish(fail(Errc::overloaded, "too many names are being looked up"));
  }
  options_.on_lookup(LookupSource::asked);
  auto query = std::unique_ptr<Query>(new Query{*this, name, {}, false, {}});
  lookup.wait(options_.timeout, *query);
  waiting_.push_back(query.get());
  const std::string_view key = query->name;
  queries_.emplace(key, std::move(query));
  ask_next();
}

// Other servers may know other things: those of a VPN, or of another network.
void CachingResolver::forget() {
  cache_.clear();
  for (auto query = queries_.begin(); query != queries_.end();) {
    if (!query->second->asked) {
      ++query;
      continue;
    }
    former_.push_back(std::move(query->second));
    query = queries_.erase(query);
  }
}

void CachingResolver::ask_next() {
  // An answer that comes at once would have this function call itself for each name that waits.
  if (std::exchange(asking_, true)) return;
  while (!waiting_.empty() && in_flight_ < options_.max_in_flight) {
    Query& query = *waiting_.front();
    waiting_.pop_front();
    query.asked = true;
    query.asked_at = cache_.now();
    ++in_flight_;
    const std::string name = query.name;
    channel_->ask(name,
                  [this, &query](const Result<DnsAnswer>& answer) { on_answer(query, answer); });
  }
  asking_ = false;
}

void CachingResolver::on_answer(Query& answered, const Result<DnsAnswer>& answer) {
  std::unique_ptr<Query> query;
  const auto found = queries_.find(answered.name);
  if (found != queries_.end() && found->second.get() == &answered) {
    query = std::move(found->second);
    queries_.erase(found);
    remember(*query, answer);
  } else {
    const auto former = std::find_if(former_.begin(), former_.end(),
                                     [&](const auto& one) { return one.get() == &answered; });
    query = std::move(*former);
    former_.erase(former);
  }
  --in_flight_;
  while (!query->wanted_by.empty()) {
    Lookup& lookup = *query->wanted_by.front();
    lookup.finish(answer ? Result<Addresses>(answer->addresses) : fail(answer.error()));
  }
  ask_next();
}

void CachingResolver::remember(const Query& query, const Result<DnsAnswer>& answer) {
  using std::chrono::milliseconds;
  // Counted from the question: the answer left the server later than that.
  if (answer) {
    const auto ttl = std::min<milliseconds>(answer->ttl, options_.max_ttl);
    cache_.remember(query.name, answer->addresses, query.asked_at + ttl);
  } else if (answer.error().code == Errc::name_not_found) {
    const auto ttl = std::min<milliseconds>(kNegativeTtl, options_.max_ttl);
    cache_.remember(query.name, fail(answer.error()), query.asked_at + ttl);
  }
}

void CachingResolver::abandoned(Query& query) {
  waiting_.remove(&query);
  queries_.erase(queries_.find(query.name));
}

}  // namespace

Result<std::unique_ptr<NameResolver>> make_name_resolver(Loop& loop, NameResolverOptions options) {
  auto channel = make_dns_channel(loop, {options.timeout, options.server, options.resolv_conf,
                                         options.port, options.on_servers, options.now});
  if (!channel) return fail(std::move(channel.error()));
  return std::make_unique<CachingResolver>(loop, std::move(options), std::move(*channel));
}

}  // namespace warder::net
