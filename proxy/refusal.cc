#include "proxy/refusal.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <array>
#include <string_view>

namespace warder::proxy {

namespace {

// What a header or a phrase may at most grow to; the record has the whole text.
constexpr std::size_t kMaxDetails = 512;
constexpr std::size_t kMaxBodyText = 4096;

std::string_view phrase(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 408: return "Request Timeout";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Service Unavailable";
  }
}

// RFC 9209 section 2.3, where one of its error types says what happened; empty otherwise.
std::string_view error_type(const Refusal& refusal) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kTypes{{
      {"denied", "http_request_denied"},
      {"policy_undefined", "http_request_denied"},
      {"upgrade_not_allowed", "http_request_denied"},
      {"client_raced", "http_request_denied"},
      {"address_blocked", "destination_ip_prohibited"},
      {"name_not_found", "dns_error"},
      {"name_failed", "dns_error"},
      {"timed_out", "dns_timeout"},
      {"connection_refused", "connection_refused"},
      {"destination_unreachable", "destination_ip_unroutable"},
      {"connect_timeout", "connection_timeout"},
      {"connect_failed", "destination_unavailable"},
      {"forwarding_loop", "proxy_loop_detected"},
      {"bad_response", "http_protocol_error"},
  }};
  for (const auto& [code, type] : kTypes) {
    if (code == refusal.code) return type;
  }
  if (refusal.status >= 400 && refusal.status < 500) return "http_request_error";
  return refusal.status == 503 || refusal.status == 501 ? "proxy_internal_error" : "";
}

// Printable ASCII as it is, every other byte as \xNN.
std::string visible(std::string_view text, std::size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) {
    if (c >= 0x20 && c < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// A string of RFC 8941 section 3.3.3: backslash and quote are escaped by a backslash.
std::string sf_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : visible(text, kMaxDetails)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void member(Writer& writer, const char* key, const std::optional<std::string>& value) {
  writer.Key(key);
  if (!value) {
    writer.Null();
    return;
  }
  writer.String(visible(*value, kMaxBodyText));
}

std::string problem(const Refusal& refusal) {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  const Subject& subject = refusal.subject;
  writer.StartObject();
  member(writer, "type", "about:blank");
  member(writer, "title", std::string(phrase(refusal.status)));
  writer.Key("status");
  writer.Int(refusal.status);
  member(writer, "code", refusal.code);
  member(writer, "detail", refusal.reason);
  member(writer, "binary", subject.binary);
  member(writer, "host", subject.host);
  writer.Key("port");
  if (subject.port) {
    writer.Uint(*subject.port);
  } else {
    writer.Null();
  }
  member(writer, "reason", refusal.reason);
  member(writer, "request_id", subject.request_id);
  member(writer, "decision_id", subject.decision_id);
  writer.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string ids(const Subject& subject) {
  std::string headers;
  for (const http::Header& header : id_headers(subject)) {
    headers += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  return headers;
}

}  // namespace

int status_for(Errc code) {
  switch (code) {
    case Errc::bad_request:
    case Errc::bad_authority: return 400;
    case Errc::head_too_large: return 431;
    case Errc::unknown_expectation: return 417;
    case Errc::unknown_method: return 501;
    case Errc::unsupported_version: return 505;
    case Errc::name_not_found:
    case Errc::name_failed:
    case Errc::closed_by_peer:
    case Errc::forwarding_loop:
    case Errc::bad_response: return 502;
    case Errc::timed_out: return 504;
    case Errc::system:
    case Errc::out_of_descriptors:
    case Errc::cancelled:
    case Errc::overloaded:
    case Errc::not_permitted:
    case Errc::not_found:
    case Errc::bad_config:
    case Errc::opa_unreachable:
    case Errc::opa_timeout:
    case Errc::opa_queue_full:
    case Errc::opa_breaker_open:
    case Errc::opa_token:
    case Errc::opa_policy_error:
    case Errc::opa_refused:
    case Errc::opa_status:
    case Errc::opa_not_json:
    case Errc::opa_bad_answer:
    case Errc::opa_too_large:
    case Errc::opa_truncated: return 503;
  }
  return 503;
}

std::string render(const Refusal& refusal) {
  const std::string body = problem(refusal);
  std::string head = fmt::format("HTTP/1.1 {} {} ({})\r\n", refusal.status, phrase(refusal.status),
                                 visible(refusal.code, kMaxDetails));
  head += ids(refusal.subject);
  const std::string_view type = error_type(refusal);
  head += "Proxy-Status: warder";
  if (!type.empty()) head += fmt::format("; error={}", type);
  head += fmt::format("; details={}\r\n", sf_string(refusal.code + ": " + refusal.reason));
  if (refusal.retry_after_s) head += fmt::format("Retry-After: {}\r\n", *refusal.retry_after_s);
  head += fmt::format(
      "Content-Type: application/problem+json\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
      body.size(), refusal.keep_alive ? "keep-alive" : "close");
  return refusal.head ? head : head + body;
}

std::vector<http::Header> id_headers(const Subject& subject) {
  std::vector<http::Header> headers{{"Warder-Request-Id", subject.request_id}};
  if (subject.decision_id) {
    headers.push_back({"Warder-Decision-Id", visible(*subject.decision_id, kMaxDetails)});
  }
  return headers;
}

std::string own_answer(const Subject& subject, std::string_view content_type, std::string_view body,
                       bool keep_alive) {
  std::string answer = "HTTP/1.1 200 OK\r\n" + ids(subject) + "Proxy-Status: warder\r\n";
  if (!content_type.empty()) answer += fmt::format("Content-Type: {}\r\n", content_type);
  answer += fmt::format("Content-Length: {}\r\nConnection: {}\r\n\r\n", body.size(),
                        keep_alive ? "keep-alive" : "close");
  return answer.append(body);
}

std::string established_head(const Subject& subject) {
  return "HTTP/1.1 200 Connection Established\r\n" + ids(subject) + "Proxy-Status: warder\r\n\r\n";
}

}  // namespace warder::proxy
