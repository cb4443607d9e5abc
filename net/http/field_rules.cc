#include "net/http/field_rules.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace warder::http {
namespace {

constexpr char plain(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' ? '-' : c;
}

// `known` in lower case.
bool begins_with(std::string_view name, std::string_view known) {
  return name.size() >= known.size() && std::equal(known.begin(), known.end(), name.begin(),
                                                   [](char a, char b) { return a == plain(b); });
}

bool is(std::string_view name, std::string_view known) {
  return name.size() == known.size() && begins_with(name, known);
}

template <std::size_t Count>
bool is_among(std::string_view name, const std::array<std::string_view, Count>& known) {
  return std::any_of(known.begin(), known.end(),
                     [&](std::string_view candidate) { return is(name, candidate); });
}

}  // namespace

bool is_hop_by_hop(std::string_view name) {
  static constexpr std::array<std::string_view, 7> kNames{
      "connection", "keep-alive", "te", "transfer-encoding", "upgrade", "http2-settings", "proxy"};
  return is_among(name, kNames) || begins_with(name, "proxy-");
}

bool is_written_anew(std::string_view name) {
  return is(name, "host") || is(name, "content-length");
}

bool is_method_override(std::string_view name) {
  static constexpr std::array<std::string_view, 3> kNames{"x-http-method-override", "x-http-method",
                                                          "x-method-override"};
  return is_among(name, kNames);
}

bool is_never_connection_option(std::string_view name) {
  static constexpr std::array<std::string_view, 21> kNames{"host",
                                                           "content-length",
                                                           "transfer-encoding",
                                                           "content-type",
                                                           "authorization",
                                                           "cookie",
                                                           "content-encoding",
                                                           "content-range",
                                                           "set-cookie",
                                                           "range",
                                                           "cache-control",
                                                           "accept",
                                                           "origin",
                                                           "referer",
                                                           "user-agent",
                                                           "location",
                                                           "via",
                                                           "max-forwards",
                                                           "expect",
                                                           "date",
                                                           "www-authenticate"};
  return is_among(name, kNames);
}

bool may_be_trailer(std::string_view name) {
  static constexpr std::array<std::string_view, 36> kNames{"host",
                                                           "content-length",
                                                           "content-type",
                                                           "content-encoding",
                                                           "content-range",
                                                           "trailer",
                                                           "expect",
                                                           "max-forwards",
                                                           "via",
                                                           "forwarded",
                                                           "cache-control",
                                                           "pragma",
                                                           "range",
                                                           "if-match",
                                                           "if-none-match",
                                                           "if-modified-since",
                                                           "if-range",
                                                           "accept",
                                                           "if-unmodified-since",
                                                           "authorization",
                                                           "cookie",
                                                           "set-cookie",
                                                           "www-authenticate",
                                                           "authentication-info",
                                                           "origin",
                                                           "age",
                                                           "date",
                                                           "expires",
                                                           "location",
                                                           "retry-after",
                                                           "vary",
                                                           "warning",
                                                           "refresh",
                                                           "content-location",
                                                           "x-forwarded-for",
                                                           "x-forwarded-host"};
  return !is_among(name, kNames) && !is_hop_by_hop(name) && !is_method_override(name) &&
         !is_our_own(name);
}

bool is_our_own(std::string_view name) { return begins_with(name, "warder-"); }

}  // namespace warder::http
