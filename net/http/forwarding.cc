#include "net/http/forwarding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "net/check.h"
#include "net/http/field_rules.h"
#include "net/http/head_rules.h"

namespace warder::http {
namespace {

constexpr std::uint16_t kHttpPort = 80;

// The members of a list (RFC 9110 section 5.6.1); a comma in a comment or a string divides nothing.
std::vector<std::string_view> members(std::string_view list) {
  std::vector<std::string_view> found;
  std::size_t begin = 0;
  std::size_t depth = 0;  // of comments
  bool quoted = false;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || (list[i] == ',' && depth == 0 && !quoted)) {
      const std::string_view member = without_blanks(list.substr(begin, i - begin));
      if (!member.empty()) found.push_back(member);
      begin = i + 1;
    } else if (list[i] == '\\' && (depth > 0 || quoted)) {
      ++i;
    } else if (list[i] == '"' && depth == 0) {
      quoted = !quoted;
    } else if (list[i] == '(' && !quoted) {
      ++depth;
    } else if (list[i] == ')' && depth > 0) {
      --depth;
    }
  }
  return found;
}

std::vector<std::string_view> members_of(const std::vector<Header>& headers,
                                         std::string_view name) {
  std::vector<std::string_view> all;
  for (const Header& header : headers) {
    if (!same_name(header.name, name)) continue;
    for (const std::string_view member : members(header.value)) all.push_back(member);
  }
  return all;
}

bool contains(const std::vector<std::string_view>& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(),
                     [&](std::string_view member) { return same_name(member, name); });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_framing(std::string& out, const BodyFraming& framing) {
  if (framing.kind == Framing::chunked) append_field(out, "Transfer-Encoding", "chunked");
  if (framing.kind == Framing::length) {
    append_field(out, "Content-Length", fmt::format("{}", framing.length));
  }
}

void append_via(std::string& out, int minor, std::string_view pseudonym) {
  append_field(out, "Via", fmt::format("1.{} {}", minor, pseudonym));
}

// The options of the request's Connection headers, all of them allowed.
Result<std::vector<std::string_view>> connection_options(const RequestHead& head) {
  std::vector<std::string_view> options = members_of(head.headers, "connection");
  for (const std::string_view option : options) {
    if (!is_token(option)) return bad_request("Connection is no list of tokens");
    if (is_never_connection_option(option)) {
      return bad_request(
          fmt::format("Connection names {}, which is for the last recipient", option));
    }
  }
  return options;
}

// "1.1 name" or "HTTP/1.1 name:port (comment)": is the name ours?
bool names_us(std::string_view via, std::string_view pseudonym) {
  const std::size_t blank = via.find_first_of(" \t");
  if (blank == std::string_view::npos) return false;
  const std::string_view rest = without_blanks(via.substr(blank));
  return same_name(rest.substr(0, rest.find_first_of(" \t(")), pseudonym);
}

bool loops(const RequestHead& head, std::string_view pseudonym) {
  const std::vector<std::string_view> via = members_of(head.headers, "via");
  return std::any_of(via.begin(), via.end(),
                     [&](std::string_view member) { return names_us(member, pseudonym); });
}

// One request on its way to the origin.
struct Outgoing {
  const RequestHead& head;
  const BodyFraming& framing;
  const ForwardOptions& options;
  std::vector<std::string_view> connection;  // the options of the client's connection
  std::optional<unsigned> max_forwards;      // as it goes on
  ForwardedRequest request;

  Result<void> read_max_forwards();
  Result<void> read_expect();
  void read_upgrade();
  [[nodiscard]] bool passes(const Header& header) const;
  void write();
  void write_connection();
};

Result<void> Outgoing::read_max_forwards() {
  constexpr std::size_t kMaxDigits = 9;
  if (head.method != "TRACE" && head.method != "OPTIONS") return {};
  const std::string* value = head.header("max-forwards");
  if (value == nullptr) return {};
  const bool digits = !value->empty() && std::all_of(value->begin(), value->end(), is_digit);
  if (!digits || value->size() > kMaxDigits || count_headers(head.headers, "max-forwards") > 1) {
    return bad_request("Max-Forwards is not one number of at most nine digits");
  }
  unsigned hops = 0;
  for (const char c : *value) hops = hops * 10 + static_cast<unsigned>(c - '0');
  request.answer_here = hops == 0;
  if (hops > 0) max_forwards = hops - 1;
  return {};
}

Result<void> Outgoing::read_expect() {
  // RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is ignored.
  if (head.minor == 0) return {};
  const std::vector<std::string_view> expectations = members_of(head.headers, "expect");
  for (const std::string_view expectation : expectations) {
    if (!same_name(expectation, "100-continue")) {
      return fail(Errc::unknown_expectation, fmt::format("Expect: {}", expectation));
    }
  }
  const bool body = framing.kind == Framing::chunked || framing.length > 0;
  request.expects_continue = !expectations.empty() && body;
  return {};
}

void Outgoing::read_upgrade() {
  const std::vector<std::string_view> protocols = members_of(head.headers, "upgrade");
  const bool body = framing.kind == Framing::chunked || framing.length > 0;
  request.websocket = head.method == "GET" && head.minor == 1 && !body && protocols.size() == 1 &&
                      same_name(protocols.front(), "websocket") && contains(connection, "upgrade");
}

bool Outgoing::passes(const Header& header) const {
  const std::string_view name = header.name;
  if (is_hop_by_hop(name) || is_written_anew(name) || contains(connection, name)) return false;
  if (same_name(name, "expect")) return false;
  if (max_forwards && same_name(name, "max-forwards")) return false;
  return !options.strip_method_override || !is_method_override(name);
}

void Outgoing::write_connection() {
  const bool trailers = contains(members_of(head.headers, "te"), "trailers");
  std::string named = options.close ? "close" : "";
  const auto name = [&](std::string_view option) {
    if (!named.empty()) named += ", ";
    named += option;
  };
  if (trailers) {
    append_field(request.head, "TE", "trailers");
    name("TE");
  }
  if (request.websocket) {
    append_field(request.head, "Upgrade", "websocket");
    name("Upgrade");
  }
  if (!named.empty()) append_field(request.head, "Connection", named);
}

void Outgoing::write() {
  const std::string target =
      options.request_target.empty() ? origin_form(head) : std::string(options.request_target);
  net::check(target.starts_with('/') || target == "*", "a request target in origin form");
  Authority host = *head.authority;
  if (host.port == kHttpPort) host.port.reset();
  std::string& out = request.head;
  out = fmt::format("{} {} HTTP/1.1\r\n", head.method, target);
  append_field(out, "Host", host.text());
  for (const Header& header : head.headers) {
    if (passes(header)) append_field(out, header.name, header.value);
  }
  if (max_forwards) append_field(out, "Max-Forwards", fmt::format("{}", *max_forwards));
  if (request.expects_continue) append_field(out, "Expect", "100-continue");
  append_framing(out, framing);
  append_via(out, head.minor, options.pseudonym);
  write_connection();
  out += "\r\n";
}

// Fields of the origin that say nothing to the client, or nothing that is the origin's to say.
bool passes(const Header& header, const std::vector<std::string_view>& connection) {
  const std::string_view name = header.name;
  if (is_hop_by_hop(name) || same_name(name, "content-length") || is_our_own(name)) return false;
  return !contains(connection, name) || is_never_connection_option(name);
}

// What an answer without a body says of the one a GET would have had (RFC 9110 section 8.6).
void append_length_said(std::string& out, const ResponseHead& head) {
  if (head.status < 200 || head.status == 204) return;
  ResponseHead as_if;
  as_if.status = 200;
  as_if.headers = head.headers;
  const Result<BodyFraming> said = response_framing(as_if, "GET");
  if (said && said->kind == Framing::length) append_framing(out, *said);
}

void append_persistence(std::string& out, const ResponseHead& head,
                        const ResponseOptions& options) {
  if (options.websocket) {
    append_field(out, "Upgrade", "websocket");
    append_field(out, "Connection", "Upgrade");
    return;
  }
  if (head.status < 200) return;
  if (!options.keep_alive || options.framing.kind == Framing::until_close) {
    append_field(out, "Connection", "close");
  } else if (options.client_minor == 0) {
    append_field(out, "Connection", "keep-alive");
  }
}

bool persists(const std::vector<Header>& headers, bool by_default) {
  const std::vector<std::string_view> options = members_of(headers, "connection");
  if (contains(options, "close")) return false;
  return by_default || contains(options, "keep-alive");
}

}  // namespace

std::string origin_form(const RequestHead& head) {
  if (head.form != RequestForm::absolute) return head.target;
  std::string_view rest = head.target;
  rest.remove_prefix(head.scheme.size() + 3);  // "://"
  const std::size_t end = rest.find_first_of("/?");
  if (end == std::string_view::npos) return head.method == "OPTIONS" ? "*" : "/";
  rest.remove_prefix(end);
  return rest.front() == '?' ? "/" + std::string(rest) : std::string(rest);
}

Result<ForwardedRequest> forward_request(const RequestHead& head, const BodyFraming& framing,
                                         const ForwardOptions& options) {
  if (head.form != RequestForm::absolute || head.scheme != "http") {
    return bad_request("only a URL of scheme http can be forwarded");
  }
  if (head.method == "TRACE" && framing.kind != Framing::none)
    return bad_request("TRACE with a body");
  if (loops(head, options.pseudonym)) {
    return fail(Errc::forwarding_loop, "Via says that the request has passed through here before");
  }
  Result<std::vector<std::string_view>> connection = connection_options(head);
  if (!connection) return fail(std::move(connection.error()));
  Outgoing outgoing{head, framing, options, std::move(*connection), {}, {}};
  const Result<void> hops = outgoing.read_max_forwards();
  if (!hops) return fail(hops.error());
  const Result<void> expectation = outgoing.read_expect();
  if (!expectation) return fail(expectation.error());
  if (outgoing.request.answer_here) return std::move(outgoing.request);
  outgoing.read_upgrade();
  outgoing.write();
  return std::move(outgoing.request);
}

std::string date_text(std::time_t time) {
  constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     kDays.at(static_cast<std::size_t>(parts.tm_wday)), parts.tm_mday,
                     kMonths.at(static_cast<std::size_t>(parts.tm_mon)), parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

BodyFraming client_framing(const BodyFraming& origin, int client_minor) {
  if (origin.kind == Framing::none || origin.kind == Framing::length) return origin;
  return BodyFraming{client_minor == 0 ? Framing::until_close : Framing::chunked, 0};
}

std::string forward_response_head(const ResponseHead& head, const ResponseOptions& options) {
  net::check(options.client_minor > 0 || options.framing.kind != Framing::chunked,
             "a chunked body for a client of HTTP/1.0");
  const std::vector<std::string_view> connection = members_of(head.headers, "connection");
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", head.status, head.reason);
  for (const Header& header : head.headers) {
    if (passes(header, connection)) append_field(out, header.name, header.value);
  }
  const bool undated = head.status >= 200 && head.header("date") == nullptr;
  if (undated && !options.date.empty()) append_field(out, "Date", options.date);
  if (options.framing.kind == Framing::none) {
    append_length_said(out, head);
  } else {
    append_framing(out, options.framing);
  }
  append_via(out, head.minor, options.pseudonym);
  for (const Header& header : options.own) append_field(out, header.name, header.value);
  append_persistence(out, head, options);
  out += "\r\n";
  return out;
}

bool persists_after(const RequestHead& head) {
  return head.minor == 1 && persists(head.headers, true);
}

bool persists_after(const ResponseHead& head) { return persists(head.headers, head.minor == 1); }

}  // namespace warder::http
