#include "proxy/doctor.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "identity/host_resolver.h"
#include "proxy/doctor_checks.h"
#include "proxy/identity_options.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kMaxFindingText = 4096;

std::string_view name(Health health) {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warning: return "warn";
    case Health::failed: return "FAIL";
  }
  return "FAIL";
}

std::vector<doctor::SandboxProcess> check_identity(const Config& config,
                                                   std::vector<Finding>& out) {
  auto host = identity::make_host_resolver(identity_options(config.identity));
  if (!host) {
    out.push_back({Health::failed, "identity", describe(host.error()),
                   "until this is right, warder run does not start"});
    // What else there is to say doesn't depend on the sandboxes.
    Config::Identity alone = config.identity;
    alone.sandboxes.clear();
    host = identity::make_host_resolver(identity_options(alone));
    if (!host) return {};
  }
  doctor::check_abilities(host->abilities, out);
  const auto searched = doctor::check_self(*host->resolver, out);
  return doctor::check_sandboxes(config.identity.proc, searched, out);
}

}  // namespace

std::vector<Finding> examine(const Config& config) {
  std::vector<Finding> out;
  for (const std::string& warning : config.warnings)
    out.push_back({Health::warning, "config", warning, {}});
  doctor::check_capabilities(config.identity.proc, config.identity.discover, out);
  doctor::check_view(config.identity.proc, out);
  const auto sandboxes = check_identity(config, out);
  doctor::check_hardening(config.identity.proc, out);
  if (const auto address = opa::parse_url(config.opa.url)) {
    doctor::check_opa(config, out);
    doctor::check_write_api(config, *address, sandboxes, out);
  }
  doctor::check_names(config, out);
  doctor::check_descriptors(config, out);
  return out;
}

Health worst(const std::vector<Finding>& findings) {
  Health worst = Health::ok;
  for (const Finding& finding : findings) worst = std::max(worst, finding.health);
  return worst;
}

std::string as_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) {
    out += fmt::format("{:<5} {}: {}", name(finding.health), finding.check, visible(finding.what));
    if (!finding.remedy.empty()) out += fmt::format("; to do: {}", visible(finding.remedy));
    out += '\n';
  }
  return out;
}

std::string as_json(const std::vector<Finding>& findings) {
  using Json = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  const auto add = [&](const char* key, std::string_view value) {
    json.Key(key);
    json.String(valid_utf8(value, kMaxFindingText));
  };
  json.StartObject();
  add("result", name(worst(findings)));
  json.Key("findings");
  json.StartArray();
  for (const Finding& finding : findings) {
    json.StartObject();
    add("result", name(finding.health));
    add("check", finding.check);
    add("what", finding.what);
    add("to_do", finding.remedy);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

}  // namespace warder::proxy
