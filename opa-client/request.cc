#include "opa-client/request.h"

#include <fmt/format.h>

#include <algorithm>

namespace warder::opa {
namespace {

constexpr std::size_t kMaxId = 128;

// Whatever else an id might hold could end the header.
bool fit_for_header(std::string_view id) {
  return !id.empty() && id.size() <= kMaxId &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 127; });
}

void add(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  head += value;
  head += "\r\n";
}

void add_token(std::string& head, std::string_view token) {
  if (token.empty()) return;
  head += "Authorization: Bearer ";
  head += token;
  head += "\r\n";
}

}  // namespace

// No Accept-Encoding: OPA would add a buffering writer for a tiny answer.
RequestMaker::RequestMaker(const ClientOptions& options)
    : common_(fmt::format("Host: {}\r\nUser-Agent: warder\r\n", options.address.host_header)) {
  post_ = fmt::format("POST {} HTTP/1.1\r\n{}Content-Type: application/json\r\n", options.path,
                      common_);
}

std::string RequestMaker::question(const Query& query, std::string_view token) const {
  constexpr std::size_t kRest = 512;  // of the head
  const std::string body = to_json(query);
  std::string request;
  request.reserve(post_.size() + token.size() + body.size() + kRest);
  request += post_;
  add_token(request, token);
  if (fit_for_header(query.request_id)) add(request, "X-Request-Id", query.request_id);
  const std::string& trace = query.request.traceparent;
  if (fit_for_header(trace)) add(request, "Traceparent", trace);
  add(request, "Content-Length", fmt::format_int(body.size()).c_str());
  request += "\r\n";
  request += body;
  return request;
}

std::string RequestMaker::reading(std::string_view path, std::string_view token) const {
  std::string request = fmt::format("GET {} HTTP/1.1\r\n{}", path, common_);
  add_token(request, token);
  request += "\r\n";
  return request;
}

}  // namespace warder::opa
