#include "proxy/identify.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <mutex>
#include <string_view>
#include <utility>

#include "identity/host_resolver.h"
#include "net/loop.h"
#include "proxy/exchange_record.h"
#include "proxy/identity_options.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::size_t kMaxSteps = 1000;
constexpr std::size_t kMaxIdentityText = 8192;

// Written on the thread that looks, read when it has answered, or has not in time.
class Steps {
 public:
  void add(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (steps_.size() == kMaxSteps) return;
    steps_.push_back({duration_cast<microseconds>(Clock::now() - began_), std::string(text)});
  }
  [[nodiscard]] std::vector<IdentifyStep> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(steps_, {});
  }
  void begin() { began_ = Clock::now(); }
  [[nodiscard]] microseconds elapsed() const {
    return duration_cast<microseconds>(Clock::now() - began_);
  }

 private:
  Clock::time_point began_ = Clock::now();
  std::mutex mutex_;  // guards steps_
  std::vector<IdentifyStep> steps_;
};

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

void add_line(std::string& out, std::string_view key, std::string_view value) {
  out += fmt::format("{:<14}{}\n", key, visible(value.substr(0, kMaxIdentityText)));
}

void add_process(std::string& out, const identity::Process& process) {
  std::vector<std::string> roles;
  for (const identity::Role role : process.roles) roles.emplace_back(identity::name(role));
  add_line(out, "process",
           fmt::format("{} uid {} gid {}{}{}", process.pid, process.uid, process.gid,
                       roles.empty() ? "" : ", ", joined(roles)));
  add_line(out, "  path", process.path);
  add_line(out, "  name", process.binary ? *process.binary : "none that can be trusted");
  if (process.sha256) add_line(out, "  sha256", *process.sha256);
  if (!process.sha256_missing.empty()) add_line(out, "  no sha256", process.sha256_missing);
  if (process.container) add_line(out, "  container", *process.container);
  if (process.pod) add_line(out, "  pod", *process.pod);
  if (process.command_line) add_line(out, "  says", *process.command_line);
  std::vector<std::string> ancestors = process.ancestors;
  if (!process.ancestors_complete) ancestors.emplace_back("...");
  if (!ancestors.empty()) add_line(out, "  started by", joined(ancestors));
  std::vector<std::string> notes;
  if (process.deleted) notes.emplace_back("its file was removed or replaced");
  if (process.image_writable) notes.emplace_back("it can write to its own file");
  if (process.traced) notes.emplace_back("it is traced");
  if (!notes.empty()) add_line(out, "  note", joined(notes));
}

using Json = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

void add_pair(Json& json, const char* key, std::string_view value) {
  json.Key(key);
  json.String(valid_utf8(value, kMaxIdentityText));
}

}  // namespace

Result<IdentifyReport> identify(const Config& config, const identity::Connection& connection) {
  Steps steps;  // outlives the resolver, whose thread writes to it
  identity::HostResolverOptions options = identity_options(config.identity);
  options.trace = [&steps](std::string_view step) { steps.add(step); };
  auto host = identity::make_host_resolver(std::move(options));
  if (!host) return fail(std::move(host.error()));

  IdentifyReport report;
  report.connection = connection;
  net::Loop loop;
  steps.begin();
  const auto lookup = host->resolver->start(connection, loop, [&](identity::Identity identity) {
    report.took = steps.elapsed();
    report.identity = std::move(identity);
    loop.stop();
  });
  loop.run();
  report.steps = steps.take();
  return report;
}

std::string as_text(const IdentifyReport& report) {
  const identity::Identity& identity = report.identity;
  std::string out;
  for (const IdentifyStep& step : report.steps)
    out += fmt::format("{:>8} us  {}\n", step.at.count(),
                       visible(std::string_view(step.text).substr(0, kMaxIdentityText)));
  out += fmt::format("{:>8} us  in all\n\n", report.took.count());

  std::vector<std::string> causes;
  for (const identity::Cause cause : identity.causes) causes.emplace_back(identity::name(cause));
  add_line(out, "client", report.connection.client.text());
  add_line(out, "grade", identity::name(identity.grade));
  add_line(out, "assurance", identity::name(identity.assurance));
  if (!causes.empty()) add_line(out, "causes", joined(causes));
  if (identity.reason) add_line(out, "reason", identity::name(*identity.reason));
  add_line(out, "detail", identity.detail);
  const std::string* binary = identity.binary();
  add_line(out, "binary", binary != nullptr ? *binary : "none that can be trusted");
  for (const identity::Process& process : identity.processes) add_process(out, process);
  if (identity.relays)
    add_line(out, "relays",
             identity.via_complete ? "for other programs" : "for other programs, not all found");
  for (const identity::Process& process : identity.via)
    add_line(out, "  for", fmt::format("{} {}", process.pid, process.path));
  return out;
}

std::string as_json(const IdentifyReport& report) {
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  json.StartObject();
  add_pair(json, "client", report.connection.client.text());
  add_pair(json, "proxy", report.connection.proxy.text());
  json.Key("took_us");
  json.Int64(report.took.count());
  json.Key("steps");
  json.StartArray();
  for (const IdentifyStep& step : report.steps) {
    json.StartObject();
    json.Key("us");
    json.Int64(step.at.count());
    add_pair(json, "step", step.text);
    json.EndObject();
  }
  json.EndArray();
  Subject subject;
  subject.client = report.connection.client;
  const std::string document =
      opa::to_json(make_query(subject, report.identity, connect_request()));
  const std::string_view member = "{\"input\":";
  const std::string input = document.substr(member.size(), document.size() - member.size() - 1);
  json.Key("input");
  json.RawValue(input.data(), input.size(), rapidjson::kObjectType);
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace warder::proxy
