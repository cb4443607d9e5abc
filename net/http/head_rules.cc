#include "net/http/head_rules.h"

#include <fmt/format.h>
#include <llhttp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <utility>

#include "net/http/body.h"

namespace warder::http {
namespace {

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Result<void> read_connect(RequestHead& head) {
  // RFC 9112 section 3.2.3: host and port, nothing else. There is no default port.
  if (head.target.find('/') != std::string::npos) {
    return fail(Errc::bad_authority,
                "the target of CONNECT has a path or a scheme, not only host:port");
  }
  Result<Authority> authority = parse_authority(head.target);
  if (!authority) return fail(std::move(authority.error()));
  if (!authority->port) return fail(Errc::bad_authority, "the target of CONNECT has no port");
  head.form = RequestForm::connect;
  head.authority = std::move(*authority);
  return {};
}

// scheme "://" authority [path] ["?" query]
Result<void> read_absolute(RequestHead& head, std::size_t scheme_length) {
  std::string scheme = head.target.substr(0, scheme_length);
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), to_lower);
  if (scheme != "http" && scheme != "https") {
    return bad_request("the scheme of the URL is not http or https");
  }
  const std::string_view rest = std::string_view(head.target).substr(scheme_length + 3);
  Result<Authority> authority = parse_authority(rest.substr(0, rest.find_first_of("/?")));
  if (!authority) return fail(std::move(authority.error()));
  if (!authority->port) authority->port = scheme == "https" ? 443 : 80;
  head.form = RequestForm::absolute;
  head.scheme = std::move(scheme);
  head.authority = std::move(*authority);
  return {};
}

// RFC 9112 section 3.2: exactly one Host in HTTP/1.1. A proxy that has an authority in the target
// uses that one; a Host that names another is an attempt to be judged as one and served as the
// other.
Result<void> check_host(const RequestHead& head) {
  const std::size_t hosts = count_headers(head.headers, "host");
  if (hosts > 1) return bad_request("more than one Host header");
  if (hosts == 0) {
    if (head.minor == 0) return {};
    return bad_request("no Host header in an HTTP/1.1 request");
  }
  const std::string& value = *head.header("host");
  if (value.empty()) {
    if (!head.authority) return {};
    return bad_request("the Host header is empty");
  }
  const Result<Authority> named = parse_authority(value);
  if (!named) return fail(Errc::bad_authority, "Host header: " + named.error().detail);
  if (!head.authority) return {};
  if (named->host != head.authority->host || (named->port && named->port != head.authority->port)) {
    return bad_request(fmt::format("the Host header names {}, the target {}", named->text(),
                                   head.authority->text()));
  }
  return {};
}

// A table: every byte of every head is looked up in it.
constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 128; ++c) {
    table[c] = is_letter(static_cast<char>(c)) || is_digit(static_cast<char>(c));
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

}  // namespace

bool is_token_char(char c) { return kTokenChars[static_cast<unsigned char>(c)]; }

bool is_known_method(std::string_view method) {
#define WARDER_METHOD_NAME(number, name, text) std::string_view(#text),
  static constexpr std::array kMethods{HTTP_METHOD_MAP(WARDER_METHOD_NAME) std::string_view("PRI")};
#undef WARDER_METHOD_NAME
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

Result<void> read_version(std::string_view text, RequestHead& head) {
  if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
      !is_digit(text[7])) {
    return bad_request("the request line does not end in HTTP/ and a version");
  }
  head.major = text[5] - '0';
  head.minor = text[7] - '0';
  if (head.major != 1 || head.minor > 1) {
    std::string detail =
        fmt::format("HTTP/{}.{}: only 1.1 and 1.0 are served", head.major, head.minor);
    if (head.method == "PRI") detail += " (the preface of an HTTP/2 connection)";
    return fail(Errc::unsupported_version, std::move(detail));
  }
  if (head.method == "PRI") return fail(Errc::unknown_method, "PRI is no method of HTTP/1");
  return {};
}

Result<void> read_target(RequestHead& head) {
  if (head.method == "CONNECT") return read_connect(head);
  if (head.target.starts_with('/')) {
    head.form = RequestForm::origin;
    return {};
  }
  if (head.target == "*") {
    if (head.method != "OPTIONS") return bad_request("the target * goes with OPTIONS only");
    head.form = RequestForm::asterisk;
    return {};
  }
  const std::size_t colon = head.target.find("://");
  if (colon == std::string::npos || colon == 0 || !is_letter(head.target.front())) {
    return bad_request("the target is neither a URL with a scheme, nor a path, nor *");
  }
  return read_absolute(head, colon);
}

Result<void> check_headers(const RequestHead& head) {
  Result<void> host = check_host(head);
  if (!host) return host;
  const Result<BodyFraming> framing = request_framing(head);
  if (!framing) return fail(framing.error());
  return {};
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return to_lower(x) == to_lower(y); });
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

const std::string* find_header(const std::vector<Header>& headers, std::string_view name) {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const Header& header) {
    return same_name(header.name, name);
  });
  return found == headers.end() ? nullptr : &found->value;
}

std::size_t count_headers(const std::vector<Header>& headers, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(headers.begin(), headers.end(),
                    [&](const Header& header) { return same_name(header.name, name); }));
}

}  // namespace warder::http
