#include "opa-client/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace warder::opa {

namespace {

constexpr int kOk = 200;
constexpr std::uint64_t kTellPolicyErrorsEveryMs = 10000;

// What one caller may have of them, so that the others find some free.
std::size_t share_of_connections(std::size_t all) { return std::max<std::size_t>(all / 4, 1); }
std::size_t share_of_queue(std::size_t all) { return all - all / 4; }

Result<Decision> to_decision(const Answer& answer) {
  if (answer.status != kOk) {
    return fail(refusal(answer.status, answer.body));
  }
  return parse_answer(answer.body);
}

Result<Document> to_document(const Answer& answer) {
  if (answer.status != kOk) {
    return fail(refusal(answer.status, answer.body));
  }
  return parse_document(answer.body);
}

}  // namespace

// A question and where it is: waiting, in a slot, or over (then only its result may be due).
class HttpCall final : public Call {
 public:
  // The last kind is told when the call is over, whatever came of it.
  using Received = std::variant<Client::Callback, Client::DocumentCallback, std::function<void()>>;

  HttpCall(net::Loop& loop, HttpClient& client, Received received)
      : client_(&client),
        received_(std::move(received)),
        deadline_(loop, [this] { client_->on_deadline(*this); }) {}
  ~HttpCall() override {
    if (alive_) *alive_ = nullptr;
    if (client_ != nullptr) client_->abandon(*this);
  }
  HttpCall(const HttpCall&) = delete;
  HttpCall& operator=(const HttpCall&) = delete;

 private:
  friend class HttpClient;
  friend class Slot;

  // The call is over: the client knows it no longer.
  void leave() {
    client_->turns_.leave(place_);
    client_ = nullptr;
    deadline_.stop();
  }
  // May destroy this call: to be called last.
  void deliver(const Result<Answer>& answer) {
    const Received received = std::move(received_);
    if (const auto* decided = std::get_if<Client::Callback>(&received)) {
      (*decided)(answer.and_then(to_decision));
    } else if (const auto* read = std::get_if<Client::DocumentCallback>(&received)) {
      (*read)(answer.and_then(to_document));
    } else {
      std::get<std::function<void()>>(received)();
    }
  }

  HttpClient* client_;  // nullptr once over
  std::string request_;
  Received received_;
  net::Timer deadline_;
  Slot* slot_ = nullptr;
  Turns<HttpCall>::Place place_;
  bool retried_ = false;
  // Shared with a posted result, which must not reach a call destroyed meanwhile.
  std::shared_ptr<HttpCall*> alive_;
};

class Slot final : private Connection::Listener {
 public:
  static Result<std::unique_ptr<Slot>> open(HttpClient& client) {
    std::unique_ptr<Slot> slot(new Slot(client));
    auto connection = Connection::open(client.loop_, client.options_, *slot);
    if (!connection) return fail(std::move(connection.error()));
    slot->connection_ = std::move(*connection);
    return slot;
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

 private:
  friend class HttpClient;

  explicit Slot(HttpClient& client)
      : client_(client), idle_timer_(client.loop_, [this] { client_.on_idle_timeout(*this); }) {}

  void on_connection_idle() override {
    rest(client_.options_.idle_timeout);
    client_.on_vacancy();
  }
  void on_answer(Answer answer) override { client_.on_answer(*this, std::move(answer)); }
  void on_connection_lost(Error error, bool stale) override {
    client_.on_lost(*this, std::move(error), stale);
  }

  void carry(HttpCall& call) {
    idle_timer_.stop();
    call_ = &call;
    call.slot_ = this;
    connection_->send(call.request_);
  }
  void rest(std::chrono::milliseconds limit) { idle_timer_.start(limit); }
  void close() {
    idle_timer_.stop();
    connection_->close();
  }

  HttpClient& client_;
  std::unique_ptr<Connection> connection_;
  net::Timer idle_timer_;
  HttpCall* call_ = nullptr;
};

HttpClient::HttpClient(net::Loop& loop, ClientOptions options)
    : loop_(loop),
      options_(std::move(options)),
      requests_(options_),
      turns_(share_of_connections(options_.max_connections)),
      breaker_(options_.breaker_failures),
      probe_timer_(loop, [this] { probe(); }) {
  options_.max_connections = std::max<std::size_t>(options_.max_connections, 1);
  if (!options_.token_file.empty()) token_file_.emplace(options_.token_file);
}

HttpClient::~HttpClient() {
  const Error gone{Errc::cancelled, 0, "the policy client is closing"};
  probe_timer_.stop();
  probe_.reset();
  while (HttpCall* const call = turns_.any()) fail_later(*call, gone);
  while (!slots_.empty()) {
    Slot& slot = *slots_.back();
    if (HttpCall* call = std::exchange(slot.call_, nullptr)) {
      call->slot_ = nullptr;
      fail_later(*call, gone);
    }
    remove(slot);
  }
}

std::unique_ptr<Call> HttpClient::ask(const Query& query, std::string_view caller,
                                      Callback callback) {
  return begin(std::move(callback), caller,
               [&](std::string_view token) { return requests_.question(query, token); });
}

std::unique_ptr<Call> HttpClient::read(std::string_view path, DocumentCallback callback) {
  return begin(std::move(callback), {},
               [&](std::string_view token) { return requests_.reading(path, token); });
}

template <class Make>
std::unique_ptr<Call> HttpClient::begin(Received received, std::string_view caller,
                                        const Make& make) {
  auto call = std::make_unique<HttpCall>(loop_, *this, std::move(received));
  if (breaker_.open()) {
    fail_later(*call, {Errc::opa_breaker_open, 0, "OPA has not answered lately"});
    return call;
  }
  const Result<std::string_view> bearer = token();
  if (!bearer) {
    fail_later(*call, bearer.error());
    return call;
  }
  call->request_ = make(*bearer);
  enqueue(*call, caller);
  return call;
}

void HttpClient::enqueue(HttpCall& call, std::string_view caller) {
  call.deadline_.start(options_.timeout);
  turns_.wait(call.place_, call, caller);
  serve_waiting();
  if (!call.place_.waiting()) return;
  const std::size_t others = turns_.waiting() - 1;
  const std::size_t own = turns_.waiting_beside(call.place_) - 1;
  if (others >= options_.max_waiting) {
    fail_later(call,
               {Errc::opa_queue_full, 0, fmt::format("{} questions are waiting already", others)});
  } else if (!caller.empty() && own >= share_of_queue(options_.max_waiting)) {
    fail_later(call, {Errc::opa_queue_full, 0,
                      fmt::format("{} questions of this caller are waiting already", own)});
  }
}

Result<std::string_view> HttpClient::token() {
  if (!token_file_) return std::string_view();
  Result<std::string_view> token = token_file_->token(loop_.now_ms());
  const bool bad = !token_file_->problem().empty();
  if (bad != token_bad_) {
    token_bad_ = bad;
    tell(bad ? ClientEvent::Kind::token_bad : ClientEvent::Kind::token_good,
         token_file_->problem());
  }
  return token;
}

void HttpClient::tell(ClientEvent::Kind kind, std::string detail) {
  if (options_.on_event) options_.on_event({kind, std::move(detail)});
}

void HttpClient::note_answer() {
  if (!breaker_.answered()) return;
  probe_timer_.stop();
  tell(ClientEvent::Kind::breaker_closed, "OPA answers again");
}

// A policy may fail for some questions and not for others, so that nothing tells when it is well
// again.
void HttpClient::note_refusal(const Answer& answer) {
  const std::uint64_t now = loop_.now_ms();
  if (policy_error_at_ms_ && now - *policy_error_at_ms_ < kTellPolicyErrorsEveryMs) return;
  const Error error = refusal(answer.status, answer.body);
  if (error.code != Errc::opa_policy_error) return;
  policy_error_at_ms_ = now;
  tell(ClientEvent::Kind::policy_error, error.detail);
}

void HttpClient::note_failure(const Error& error) {
  if (!breaker_.failed()) return;
  tell(ClientEvent::Kind::breaker_opened, describe(error));
  probe_timer_.start(options_.breaker_pause);
  const Error refused{Errc::opa_breaker_open, 0, describe(error)};
  while (HttpCall* const call = turns_.any()) fail_later(*call, refused);
}

// Without regard to the breaker. Whatever the answer is, it is one.
void HttpClient::probe() {
  auto call = std::make_unique<HttpCall>(loop_, *this, std::function<void()>([this] {
                                           if (breaker_.open())
                                             probe_timer_.start(options_.breaker_pause);
                                         }));
  const Result<std::string_view> bearer = token();
  call->request_ = requests_.reading("/health", bearer ? *bearer : std::string_view());
  enqueue(*call, {});
  probe_ = std::move(call);
}

// Calls nobody.
void HttpClient::serve_waiting() {
  while (HttpCall* const next = turns_.next()) {
    Slot* slot = take_free_slot();
    if (slot == nullptr && slots_.size() >= options_.max_connections) return;
    HttpCall& call = *next;
    turns_.begin(call.place_);
    if (slot != nullptr) {
      slot->carry(call);
    } else {
      open_slot_for(call);
    }
  }
}

// The idle one used last, so that those not needed grow old; else one that is coming up for nobody.
Slot* HttpClient::take_free_slot() {
  for (std::size_t i = slots_.size(); i > 0; --i) {
    Slot& slot = *slots_[i - 1];
    if (!slot.connection_->idle()) continue;
    if (slot.connection_->quiet()) return &slot;
    remove(slot);
  }
  const auto vacant = std::find_if(slots_.begin(), slots_.end(),
                                   [](const auto& slot) { return slot->connection_->vacant(); });
  return vacant == slots_.end() ? nullptr : vacant->get();
}

void HttpClient::open_slot_for(HttpCall& call) {
  Result<std::unique_ptr<Slot>> slot = Slot::open(*this);
  if (!slot) {
    note_failure(slot.error());
    return fail_later(call, std::move(slot.error()));
  }
  slots_.push_back(std::move(*slot));
  slots_.back()->carry(call);
}

// Takes the call from its slot, if it is in one. A connection that has seen any of its question
// can't be used any more: its answer would be taken for the next one's.
void HttpClient::detach(HttpCall& call) {
  if (Slot* slot = std::exchange(call.slot_, nullptr)) {
    slot->call_ = nullptr;
    if (slot->connection_->withdraw()) {
      slot->rest(options_.timeout);
    } else {
      remove(*slot);
    }
  }
}

void HttpClient::remove(Slot& slot) {
  slot.close();
  const auto place = std::find_if(slots_.begin(), slots_.end(),
                                  [&](const auto& owned) { return owned.get() == &slot; });
  std::unique_ptr<Slot> owned = std::move(*place);
  slots_.erase(place);
  loop_.retire(std::move(owned));
}

void HttpClient::fail_later(HttpCall& call, Error error) {
  call.leave();
  call.alive_ = std::make_shared<HttpCall*>(&call);
  loop_.post([alive = call.alive_, error = std::move(error)] {
    if (*alive != nullptr) (*alive)->deliver(fail(error));
  });
}

void HttpClient::on_deadline(HttpCall& call) {
  const std::string_view doing =
      call.place_.waiting() ? "waiting for a connection" : call.slot_->connection_->doing();
  Error late{Errc::opa_timeout, 0,
             fmt::format("no whole answer within {} ms ({})", options_.timeout.count(), doing)};
  // A connection that did not come up in time may hang for minutes (tcp(7), tcp_syn_retries).
  if (Slot* slot = std::exchange(call.slot_, nullptr)) {
    slot->call_ = nullptr;
    remove(*slot);
  }
  detach(call);
  note_failure(late);
  // The timer's own function is on the stack, and the callback may destroy the timer.
  fail_later(call, std::move(late));
  serve_waiting();
}

void HttpClient::abandon(HttpCall& call) {
  detach(call);
  call.leave();
  serve_waiting();
}

void HttpClient::on_vacancy() { serve_waiting(); }

void HttpClient::on_answer(Slot& slot, Answer answer) {
  HttpCall& call = *std::exchange(slot.call_, nullptr);
  call.slot_ = nullptr;
  call.leave();
  note_answer();
  if (answer.status != kOk) note_refusal(answer);
  if (slot.connection_->idle()) {
    slot.rest(options_.idle_timeout);
    // take_free_slot() looks from the end.
    const auto place = std::find_if(slots_.begin(), slots_.end(),
                                    [&](const auto& owned) { return owned.get() == &slot; });
    std::rotate(place, place + 1, slots_.end());
  } else {
    remove(slot);
  }
  serve_waiting();
  call.deliver(std::move(answer));
}

void HttpClient::on_lost(Slot& slot, Error error, bool stale) {
  HttpCall* call = std::exchange(slot.call_, nullptr);
  remove(slot);
  if (call == nullptr) return serve_waiting();
  call->slot_ = nullptr;
  if (stale && !call->retried_) {
    call->retried_ = true;
    open_slot_for(*call);
    return serve_waiting();
  }
  call->leave();
  note_failure(error);
  serve_waiting();
  call->deliver(fail(std::move(error)));
}

void HttpClient::on_idle_timeout(Slot& slot) {
  remove(slot);
  serve_waiting();
}

std::unique_ptr<Client> make_client(net::Loop& loop, ClientOptions options) {
  return std::make_unique<HttpClient>(loop, std::move(options));
}

}  // namespace warder::opa
