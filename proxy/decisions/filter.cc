#include "proxy/decisions/filter.h"

#include <algorithm>
#include <cstring>

#include "proxy/decisions/glob.h"

namespace warder::decisions {
namespace {

using Texts = std::vector<std::string>;

bool equals_one(const Texts& wanted, std::string_view text) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), text) != wanted.end();
}

bool like_one(const Texts& patterns, const Value& value, char separator) {
  if (patterns.empty()) return true;
  if (value.type != Value::Type::string) return false;
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return glob_matches(pattern, value.text, separator);
  });
}

bool in_time(const Filter& filter, const Event& event) {
  if (!filter.since && !filter.until) return true;
  const auto time = event.time();
  if (!time) return false;
  return (!filter.since || *time >= *filter.since) && (!filter.until || *time < *filter.until);
}

bool has_outcome(const Filter& filter, const Event& event) {
  if (filter.allow == filter.deny) return true;
  const std::string_view outcome = event.outcome();
  const bool allowed = outcome == "allow" || outcome == "audit";
  return allowed == filter.allow;
}

bool has_port(const Filter& filter, const Event& event) {
  if (filter.ports.empty()) return true;
  const auto port = event.number(Field::port);
  return port && std::find(filter.ports.begin(), filter.ports.end(), *port) != filter.ports.end();
}

bool in_container(const Texts& wanted, const Event& event) {
  if (wanted.empty()) return true;
  const auto begins = [&](std::string_view container) {
    return std::any_of(wanted.begin(), wanted.end(),
                       [&](const std::string& id) { return container.starts_with(id); });
  };
  if (event.kind == Event::Kind::record) return begins(event.text(Field::container));
  return std::any_of(event.containers.begin(), event.containers.end(), begins);
}

bool has_id(const Filter& filter, const Event& event) {
  const std::string_view request = event.text(Field::request_id);
  const std::string_view decision = event.text(Field::decision_id);
  if (!equals_one(filter.request_ids, request)) return false;
  if (!equals_one(filter.decision_ids, decision)) return false;
  return equals_one(filter.ids, request) || equals_one(filter.ids, decision);
}

// Characters that JSON writes in one way only, but for \uXXXX.
bool has_one_spelling(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
  });
}

bool contains(std::string_view line, std::string_view text) {
  return ::memmem(line.data(), line.size(), text.data(), text.size()) != nullptr;
}

}  // namespace

bool is_probe(const Event& event) {
  return event.text(Field::host) == "probe.invalid" &&
         event.text(Field::identity_reason) == "probe";
}

bool Filter::matches(const Event& event) const {
  if (event.kind == Event::Kind::decision && path != "*" && event.decision_path() != path) {
    return false;
  }
  if (!probes && is_probe(event)) return false;
  const std::string_view why = event.text(Field::reason);
  return has_outcome(*this, event) && has_port(*this, event) && has_id(*this, event) &&
         like_one(hosts, event.at(Field::host), '.') &&
         like_one(binaries, event.at(Field::binary), '/') &&
         equals_one(policies, event.text(Field::policy)) &&
         equals_one(grades, event.text(Field::grade)) &&
         equals_one(assurances, event.text(Field::assurance)) &&
         (reason.empty() || why.find(reason) != std::string_view::npos) &&
         in_container(containers, event) &&
         (revisions.empty() || equals_one(revisions, event.revision())) && in_time(*this, event);
}

Prefilter::Prefilter(const Filter& filter) {
  for (const Texts* texts : {&filter.ids, &filter.decision_ids, &filter.request_ids,
                             &filter.binaries, &filter.hosts, &filter.policies}) {
    add(*texts);
  }
}

void Prefilter::add(const Texts& texts) {
  const bool exact = std::all_of(texts.begin(), texts.end(), [](const std::string& text) {
    return !text.empty() && has_one_spelling(text) && !is_glob(text);
  });
  if (exact && !texts.empty()) groups_.push_back(texts);
}

bool Prefilter::rules_out(std::string_view line) const {
  const bool missing = std::any_of(groups_.begin(), groups_.end(), [&](const Texts& texts) {
    return std::none_of(texts.begin(), texts.end(),
                        [&](const std::string& text) { return contains(line, text); });
  });
  // With a backslash a character may be escaped, or another line be inside this one; the journal
  // writes lines as lists of bytes, too.
  return missing && line.find('\\') == std::string_view::npos && !contains(line, "\"MESSAGE\"");
}

}  // namespace warder::decisions
