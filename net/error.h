#pragma once

#include <string>
#include <string_view>

namespace warder {

// Every way in which work can fail, one value a cause that somebody may have to tell apart: in a
// log line, in a status for the client, or in a metric. The text of each (`code_name`) is part of
// the outside: scripts match on it.
enum class Errc {
  // Environment.
  system,              // a system call failed; `sys_errno` says how
  out_of_descriptors,  // EMFILE or ENFILE
  cancelled,           // the owner gave up, or the loop is closing
  timed_out,           // the deadline of the whole operation passed
  overloaded,          // a queue is at its limit
  closed_by_peer,      // end of stream where more was due
  not_permitted,       // EPERM or EACCES
  not_found,           // a file, process or name that does not exist

  // Configuration.
  bad_config,  // `detail` is "file:line: key: what is wrong"

  // Request bytes (status 400 unless noted).
  bad_request,          // malformed; `detail` names the rule and the byte
  head_too_large,       // 431
  unknown_method,       // 501
  unsupported_version,  // 505
  bad_authority,        // host or port that no policy can name
  unknown_expectation,  // 417
  forwarding_loop,      // 502: the request has passed through here before

  // Response bytes of an origin (status 502).
  bad_response,  // malformed or too large; `detail` names the rule and the byte

  // Names.
  name_not_found,  // the resolver answered: no such name, or no address
  name_failed,     // the resolver did not answer, or answered nonsense

  // Answers of the policy server. None of them is a decision.
  opa_unreachable,   // no connection
  opa_timeout,       // no whole answer within opa.timeout
  opa_queue_full,    // too many calls are waiting
  opa_breaker_open,  // it has not answered lately, and is not asked until it does
  opa_token,         // the bearer token can't be read
  opa_policy_error,  // it can't evaluate the policy for this question
  opa_status,        // any other status than 200
  opa_not_json,      // the body is not one JSON document in UTF-8
  opa_bad_answer,    // HTTP or JSON, but not of the agreed form
  opa_too_large,     // head or body above the limit
  opa_truncated,     // the connection ended before the answer did
  opa_refused,       // it does not take this question: too large, for example
};

// A failure with what is needed to explain it. `detail` is for people; it may hold bytes from a
// peer and is escaped where it is shown, not here.
struct Error {
  Errc code = Errc::system;
  int sys_errno = 0;
  std::string detail;
};

// The stable name, e.g. "opa_timeout".
[[nodiscard]] std::string_view code_name(Errc code);

// "name: detail (strerror)" with the parts that are there.
[[nodiscard]] std::string describe(const Error& error);

// For people, and for a sentence that says already what failed: what the system said, or `detail`
// where it was not asked.
[[nodiscard]] std::string cause_of(const Error& error);

// An Error from a failed system call: EMFILE and ENFILE become out_of_descriptors, EPERM and
// EACCES not_permitted, ENOENT and ESRCH not_found, ETIMEDOUT timed_out, all else `system`.
[[nodiscard]] Error from_errno(int sys_errno, std::string detail);

}  // namespace warder
