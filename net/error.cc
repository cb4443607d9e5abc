#include "net/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace warder {

std::string_view code_name(Errc code) {
  switch (code) {
    case Errc::system: return "system_error";
    case Errc::out_of_descriptors: return "out_of_descriptors";
    case Errc::cancelled: return "cancelled";
    case Errc::timed_out: return "timed_out";
    case Errc::overloaded: return "overloaded";
    case Errc::closed_by_peer: return "closed_by_peer";
    case Errc::not_permitted: return "not_permitted";
    case Errc::not_found: return "not_found";
    case Errc::bad_config: return "bad_config";
    case Errc::bad_request: return "bad_request";
    case Errc::head_too_large: return "head_too_large";
    case Errc::unknown_method: return "unknown_method";
    case Errc::unsupported_version: return "unsupported_version";
    case Errc::bad_authority: return "bad_authority";
    case Errc::unknown_expectation: return "unknown_expectation";
    case Errc::forwarding_loop: return "forwarding_loop";
    case Errc::bad_response: return "bad_response";
    case Errc::name_not_found: return "name_not_found";
    case Errc::name_failed: return "name_failed";
    case Errc::opa_unreachable: return "opa_unreachable";
    case Errc::opa_timeout: return "opa_timeout";
    case Errc::opa_queue_full: return "opa_queue_full";
    case Errc::opa_breaker_open: return "opa_breaker_open";
    case Errc::opa_token: return "opa_token";
    case Errc::opa_policy_error: return "opa_policy_error";
    case Errc::opa_refused: return "opa_refused";
    case Errc::opa_status: return "opa_status";
    case Errc::opa_not_json: return "opa_not_json";
    case Errc::opa_bad_answer: return "opa_bad_answer";
    case Errc::opa_too_large: return "opa_too_large";
    case Errc::opa_truncated: return "opa_truncated";
  }
  return "unknown";
}

std::string describe(const Error& error) {
  std::string text(code_name(error.code));
  if (!error.detail.empty()) text += ": " + error.detail;
  if (error.sys_errno != 0) {
    text += fmt::format(" ({})", std::generic_category().message(error.sys_errno));
  }
  return text;
}

std::string cause_of(const Error& error) {
  const char* const known = error.sys_errno == 0 ? nullptr : ::strerrordesc_np(error.sys_errno);
  return known == nullptr ? error.detail : known;
}

Error from_errno(int sys_errno, std::string detail) {
  Errc code = Errc::system;
  switch (sys_errno) {
    case EMFILE:
    case ENFILE: code = Errc::out_of_descriptors; break;
    case EPERM:
    case EACCES: code = Errc::not_permitted; break;
    case ENOENT:
    case ESRCH: code = Errc::not_found; break;
    case ETIMEDOUT: code = Errc::timed_out; break;
    default: break;
  }
  return Error{code, sys_errno, std::move(detail)};
}

}  // namespace warder
