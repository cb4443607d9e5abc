#include "proxy/trace_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "net/http/head_rules.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kVersion = 2, kTrace = 32, kParent = 16, kFlags = 2;
constexpr std::size_t kLength = kVersion + kTrace + kParent + kFlags + 3;  // and the hyphens

// Lower-case digits, not all of them zero.
bool is_id(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         text.find_first_not_of('0') != std::string_view::npos;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

struct Trace {
  std::string_view id, flags;
};

// Section 3.2: what a later version adds comes behind a hyphen; ff is none.
std::optional<Trace> parse(std::string_view text) {
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  const std::string_view version = text.substr(0, kVersion);
  if (!is_hex(version) || version == "ff") return {};
  if (text.size() > kLength && (version == "00" || text[kLength] != '-')) return {};
  const Trace trace{text.substr(3, kTrace), text.substr(53, kFlags)};
  if (!is_id(trace.id) || !is_id(text.substr(36, kParent)) || !is_hex(trace.flags)) return {};
  return trace;
}

std::optional<Trace> sent_by_client(const http::RequestHead& head) {
  const auto named = [](const http::Header& header) {
    return http::same_name(header.name, "traceparent");
  };
  if (std::count_if(head.headers.begin(), head.headers.end(), named) != 1) return {};
  return parse(std::find_if(head.headers.begin(), head.headers.end(), named)->value);
}

}  // namespace

std::string trace_parent(const http::RequestHead& head, std::string_view request_id) {
  const std::string_view own = request_id.substr(0, kParent);
  if (request_id.size() != kTrace || !is_id(request_id) || !is_id(own)) return {};
  const Trace trace = sent_by_client(head).value_or(Trace{request_id, "01"});
  return fmt::format("00-{}-{}-{}", trace.id, own, trace.flags);
}

}  // namespace warder::proxy
