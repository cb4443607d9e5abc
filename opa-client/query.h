#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::opa {

// The input document, as typed values. Every key is always sent; nullopt becomes null. Strings are
// raw bytes: one that is not UTF-8 is sent as null with its bytes in lower-case hexadecimal under
// the same key with "_hex" appended, because JSON decoding would make different byte strings equal.
// In a list the entry becomes null in its place, and a list of the same length under "<key>_hex"
// has the bytes there and null elsewhere. The "_hex" keys are sent only when they say something:
// null is not false in Rego, so a policy tests for one by its being there.
struct QueryProcess {
  std::int64_t pid = 0;
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::uint64_t start_time = 0;
  std::optional<std::string> binary;
  std::string path;
  std::vector<std::string> names;
  std::optional<std::string> sha256;
  std::vector<std::string> role;  // "connector", "holder"
  bool deleted = false;
  bool image_writable = false;  // by the process itself
  bool traced = false;
  std::vector<std::string> ancestors;
  bool ancestors_complete = true;
  std::optional<std::string> container;
  std::optional<std::string> pod;
  std::optional<std::string> command_line;
};

// A program that may stand behind the caller.
struct QueryVia {
  std::int64_t pid = 0;
  std::int64_t uid = 0;
  std::optional<std::string> binary;
  std::string path;
};

struct Query {
  std::optional<std::string> binary;
  std::string host;
  std::uint16_t port = 0;
  std::string request_id;
  std::vector<std::string> ancestors;
  std::optional<std::string> sha256;

  struct Request {
    std::string kind;  // "connect" or "forward"
    std::string method;
    // Of a forwarded request: canonical and as sent (see http::RequestPath), and why its path may
    // be read in more than one way.
    std::optional<std::string> scheme, path, path_raw, query, query_raw;
    std::vector<std::string> doubts;
    // Not part of the document: the header of that name (W3C Trace Context); empty: none.
    std::string traceparent;
  } request;
  struct Client {
    std::string address;
    std::uint16_t port = 0;
  } client;
  struct Identity {
    std::string grade, assurance;
    std::vector<std::string> causes;
    std::optional<std::string> reason, detail, scope, method;
    bool relays = false;
    bool via_complete = true;
    std::vector<QueryVia> via;
    std::vector<QueryProcess> processes;
  } identity;
};

// {"input": …} as JSON in ASCII (everything else escaped).
[[nodiscard]] std::string to_json(const Query& query);

// Bytes that are equal for two queries only if their documents are, but for what changes each time
// one program asks the same again: the request's id, the client's port, identity.detail, and the
// pid and start time of every process. No text; good within one process only.
[[nodiscard]] std::string reuse_key(const Query& query);

// Likewise, and also without the request, the host and the port: who is asking.
[[nodiscard]] std::string caller_key(const Query& query);

}  // namespace warder::opa
