#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"
#include "proxy/config.h"

namespace warder::proxy {

// What Warder tells operators, as typed values. Strings are raw bytes; the sink escapes them.

enum class Kind { connect, forward, socks5, transparent };
enum class Verdict { allow, deny, error };

// The ids and facts every record about one exchange shares.
struct Subject {
  std::string request_id;
  std::optional<std::string> decision_id;
  net::Endpoint client;
  Kind kind = Kind::connect;
  std::optional<std::string> host;
  std::optional<std::uint16_t> port;
  std::optional<std::string> binary;
  std::optional<pid_t> pid;
  std::optional<uid_t> uid;
  // Of a forwarded request: its method, and its path in canonical form, without the query.
  std::optional<std::string> http_method, path;
};

// One per decision, and one per request refused before or without one.
struct DecisionRecord {
  Subject subject;
  Verdict verdict = Verdict::error;
  std::string code;    // stable: "allowed", "denied", "policy_undefined", "opa_timeout", …
  std::string reason;  // one sentence
  std::optional<std::string> policy;
  bool would_deny = false;
  bool reused = false;  // an answer given before: decision_id is that of the question then
  std::optional<std::string> scope, method, grade, assurance, identity_reason, identity_detail;
  std::vector<std::string> causes;
  std::vector<std::string> holders;      // path of every holder, when no one name covers them
  std::optional<std::string> connector;  // path of what connected, likewise, where it is known
  std::optional<std::string> sha256;     // of the one program's file
  std::optional<std::string> container;  // that the one program runs in
  bool relays = false;
  std::vector<std::string> via;  // path of every program that may stand behind a relay
  int status = 0;                // HTTP status sent
  std::optional<std::int64_t> identity_us, opa_us;
};

enum class ClosedBy { client, origin, proxy };

// One per closed tunnel, and one per forwarded request that reached an origin.
struct TunnelRecord {
  Subject subject;
  // To the origin and from it; of a forwarded request with heads and framing.
  std::uint64_t bytes_up = 0, bytes_down = 0;
  std::int64_t duration_ms = 0;
  ClosedBy closed_by = ClosedBy::proxy;
  std::string close_reason;  // "end", "reset", "idle", "drain", "origin_closed", …
};

// Everything else worth telling.
struct Diagnostic {
  LogLevel level = LogLevel::info;
  std::string event;    // stable: "started", "draining", "config", "opa", …
  std::string message;  // one sentence
  std::vector<std::pair<std::string, std::string>> fields;
};

// Where records go. Any thread; never blocks.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void write(const DecisionRecord& record) = 0;
  virtual void write(const TunnelRecord& record) = 0;
  virtual void write(const Diagnostic& record) = 0;
};

}  // namespace warder::proxy
