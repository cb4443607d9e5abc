#include "proxy/decisions/event_fields.h"

#include <array>
#include <span>

namespace warder::decisions {
namespace {

struct Entry {
  std::string_view key;
  Slot slot;
};

constexpr Node kNo = Node::nowhere;

constexpr std::array kRoot{
    Entry{"decision_id", {Field::decision_id}},
    Entry{"input", {Field::none, Node::input}},
    Entry{"result", {Field::allow, Node::result, kNo, Field::result}},
    Entry{"metrics", {Field::none, Node::metrics}},
    Entry{"path", {Field::path}},
    Entry{"query", {Field::query}},
    Entry{"timestamp", {Field::timestamp}},
    Entry{"bundles", {Field::none, Node::bundles}},
    Entry{"revision", {Field::legacy_revision}},
    Entry{"error", {Field::error, kNo, kNo, Field::error}},
    // Warder's records.
    Entry{"ts", {Field::ts}},
    Entry{"seq", {Field::seq}},
    Entry{"event", {Field::event}},
    Entry{"decision", {Field::decision}},
    Entry{"code", {Field::code}},
    Entry{"reason", {Field::reason}},
    Entry{"binary", {Field::binary}},
    Entry{"pid", {Field::pid}},
    Entry{"uid", {Field::uid}},
    Entry{"host", {Field::host}},
    Entry{"port", {Field::port}},
    Entry{"kind", {Field::kind}},
    Entry{"http_method", {Field::http_method}},
    Entry{"grade", {Field::grade}},
    Entry{"assurance", {Field::assurance}},
    Entry{"identity_reason", {Field::identity_reason}},
    Entry{"sha256", {Field::sha256}},
    Entry{"container", {Field::container}},
    Entry{"policy", {Field::policy}},
    Entry{"would_deny", {Field::would_deny}},
    Entry{"reused", {Field::reused}},
    Entry{"request_id", {Field::request_id}},
    Entry{"client", {Field::client}},
    Entry{"status", {Field::status}},
    Entry{"count", {Field::count}},
    Entry{"last_decision_id", {Field::last_decision_id}},
    // Lines that hold a line.
    Entry{"log", {Field::log}},
    Entry{"stream", {Field::stream}},
    Entry{"MESSAGE", {Field::message, kNo, Node::bytes, Field::message}},
    Entry{"_STREAM_ID", {Field::stream_id}},
    Entry{"_LINE_BREAK", {Field::line_break}},
    Entry{"CONTAINER_ID_FULL", {Field::container_id}},
    Entry{"CONTAINER_PARTIAL_MESSAGE", {Field::partial}},
    Entry{"CONTAINER_PARTIAL_ID", {Field::partial_id}},
    Entry{"CONTAINER_PARTIAL_LAST", {Field::partial_last}},
};

constexpr std::array kInput{
    Entry{"binary", {Field::binary}},
    Entry{"host", {Field::host}},
    Entry{"port", {Field::port}},
    Entry{"request_id", {Field::request_id}},
    Entry{"sha256", {Field::sha256}},
    Entry{"identity", {Field::none, Node::identity}},
    Entry{"request", {Field::none, Node::request}},
    Entry{"client", {Field::none, Node::client}},
};

constexpr std::array kRequest{
    Entry{"kind", {Field::kind}},
    Entry{"method", {Field::http_method}},
    Entry{"path", {Field::http_path}},
};

constexpr std::array kClient{
    Entry{"address", {Field::client_address}},
    Entry{"port", {Field::client_port}},
};

constexpr std::array kIdentity{
    Entry{"grade", {Field::grade}},
    Entry{"assurance", {Field::assurance}},
    Entry{"reason", {Field::identity_reason}},
    Entry{"processes", {Field::none, kNo, Node::processes}},
};

// Of the first process, but for the containers.
constexpr std::array kProcess{
    Entry{"pid", {Field::pid}},
    Entry{"uid", {Field::uid}},
    Entry{"container", {Field::container}},
};

constexpr std::array kResult{
    Entry{"allow", {Field::allow}},           Entry{"reason", {Field::reason}},
    Entry{"policy", {Field::policy}},         Entry{"enforcement", {Field::enforcement}},
    Entry{"would_deny", {Field::would_deny}}, Entry{"revision", {Field::result_revision}},
};

constexpr std::array kMetrics{
    Entry{"timer_server_handler_ns", {Field::handler_ns}},
    Entry{"timer_rego_query_eval_ns", {Field::eval_ns}},
    Entry{"timer_rego_input_parse_ns", {Field::parse_ns}},
};

std::span<const Entry> entries(Node node) {
  switch (node) {
    case Node::root: return kRoot;
    case Node::input: return kInput;
    case Node::request: return kRequest;
    case Node::client: return kClient;
    case Node::identity: return kIdentity;
    case Node::process: return kProcess;
    case Node::result: return kResult;
    case Node::metrics: return kMetrics;
    case Node::nowhere:
    case Node::processes:
    case Node::bundles:
    case Node::bundle:
    case Node::bytes: return {};
  }
  return {};
}

}  // namespace

Slot slot_of(Node node, std::string_view key) {
  // Any key is a bundle's name.
  if (node == Node::bundles) return {Field::none, Node::bundle};
  for (const Entry& entry : entries(node)) {
    if (entry.key == key) return entry.slot;
  }
  return {};
}

}  // namespace warder::decisions
