#include "net/http/authority.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "net/http/head_rules.h"

namespace warder::http {
namespace {

constexpr std::size_t kMaxLabel = 63;  // RFC 1035 section 2.3.4
constexpr std::size_t kMaxName =
    253;  // 255 on the wire: the root and the first length are not text
constexpr std::size_t kMaxPortDigits = 5;

bool is_lower_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

tl::unexpected<Error> bad_authority(std::string detail) {
  return fail(Errc::bad_authority, std::move(detail));
}

tl::unexpected<Error> bad_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (c == '@') return bad_authority("host: user information before '@'");
  if (byte >= 0x80)
    return bad_authority(fmt::format("host: byte 0x{:02x} is not ASCII (use A-labels)", byte));
  return bad_authority(fmt::format("host: byte 0x{:02x} is not allowed", byte));
}

// What inet_aton(3) would take for a number: "127.1" and "0x7f.1" must not reach a C library that
// turns them into an address no policy has seen.
bool ends_in_number(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  if (last.starts_with("0x")) return std::all_of(last.begin() + 2, last.end(), is_lower_hex);
  return std::all_of(last.begin(), last.end(), is_digit);
}

Result<Host> bracketed_host(std::string_view text) {
  if (text.back() != ']') return bad_authority("host: '[' without ']' at the end");
  const std::string_view inner = text.substr(1, text.size() - 2);
  if (inner.find('%') != std::string_view::npos)
    return bad_authority("host: an IPv6 address with a zone");
  const std::optional<net::IpAddress> address = net::IpAddress::parse(inner);
  if (!address || !address->is_v6())
    return bad_authority("host: no IPv6 address between '[' and ']'");
  // ::ffff:10.1.2.3 is dialled as 10.1.2.3, so that is what policies must see.
  const net::IpAddress unmapped = address->unmapped();
  return Host{unmapped.text(), unmapped};
}

Result<std::string> checked_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty()) return bad_authority("host: empty");
  if (text.size() > kMaxName) return bad_authority("host: longer than 253 bytes");
  std::string name;
  name.reserve(text.size());
  std::size_t label = 0;  // bytes of the label so far
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = to_lower(text[i]);
    const bool last = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.') {
      if (label == 0) return bad_authority("host: an empty label");
      label = 0;
    } else if ((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_') {
      if (c == '-' && (label == 0 || last))
        return bad_authority("host: a label begins or ends with '-'");
      if (++label > kMaxLabel) return bad_authority("host: a label longer than 63 bytes");
    } else {
      return bad_byte(c);
    }
    name.push_back(c);
  }
  if (label == 0) return bad_authority("host: an empty label");
  return name;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > kMaxPortDigits ||
      !std::all_of(text.begin(), text.end(), is_digit)) {
    return bad_authority("port: not 1 to 5 digits");
  }
  unsigned port = 0;
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port == 0 || port > 65535) return bad_authority("port: not in 1..65535");
  return static_cast<std::uint16_t>(port);
}

// Where the host ends: at the colon outside of brackets, or at the end.
Result<std::size_t> host_length(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return bad_authority("host: '[' without ']'");
    if (close + 1 < text.size() && text[close + 1] != ':')
      return bad_authority("host: bytes after ']'");
    return close + 1;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return text.size();
  if (text.find('@') != std::string_view::npos) return bad_byte('@');
  if (text.find(':', colon + 1) != std::string_view::npos) {
    return bad_authority("host: more than one ':' (an IPv6 address goes in brackets)");
  }
  return colon;
}

}  // namespace

std::string Authority::text() const {
  const bool brackets = host.address && host.address->is_v6();
  std::string text = brackets ? "[" + host.name + "]" : host.name;
  if (port) text += fmt::format(":{}", *port);
  return text;
}

Result<Host> parse_host(std::string_view text) {
  if (text.starts_with('[')) return bracketed_host(text);
  Result<std::string> name = checked_name(text);
  if (!name) return fail(std::move(name.error()));
  if (ends_in_number(*name)) {
    const std::optional<net::IpAddress> address = net::IpAddress::parse(text);
    if (!address)
      return bad_authority("host: ends in a number but is no IPv4 address in four decimal parts");
    return Host{address->text(), address};
  }
  return Host{std::move(*name), std::nullopt};
}

Result<Authority> parse_authority(std::string_view text) {
  const Result<std::size_t> length = host_length(text);
  if (!length) return fail(length.error());
  Result<Host> host = parse_host(text.substr(0, *length));
  if (!host) return fail(std::move(host.error()));
  if (*length == text.size()) return Authority{std::move(*host), std::nullopt};
  const Result<std::uint16_t> port = parse_port(text.substr(*length + 1));
  if (!port) return fail(port.error());
  return Authority{std::move(*host), *port};
}

}  // namespace warder::http
