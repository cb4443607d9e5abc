#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "net/lookup.h"
#include "net/loop.h"
#include "opa-client/json.h"
#include "proxy/doctor_checks.h"
#include "proxy/name_options.h"
#include "proxy/opa_options.h"
#include "proxy/policy_names.h"
#include "proxy/readiness.h"

namespace warder::proxy::doctor {
namespace {

using namespace std::chrono_literals;

// A policy with more has them told by `warder policy check`.
constexpr std::size_t kMostTold = 20;
// Going through all policies takes longer than a decision.
constexpr std::chrono::milliseconds kLeastForProblems = 5s;

// Runs a loop until the call that `begin` makes has its result. `begin` gives it what to call then.
using Begin = std::function<std::unique_ptr<opa::Call>(opa::Client&, std::function<void()>)>;
void with_client(const Config& config, opa::ClientOptions options, const Begin& begin) {
  net::Loop loop;
  const auto names = net::make_name_resolver(loop, name_options(config));
  if (names) options.names = names->get();
  options.max_connections = 1;
  const auto client = opa::make_client(loop, std::move(options));
  const auto call = begin(*client, [&loop] { loop.stop(); });
  loop.run();
}

Finding judge_decision(const Config& config, const Result<opa::Decision>& answer) {
  const std::string check = "opa";
  if (!answer) {
    return {Health::failed, check, fmt::format("{}: {}", config.opa.url, describe(answer.error())),
            "start OPA, or set opa.url to where it listens"};
  }
  if (answer->undefined) {
    return {Health::failed, check, fmt::format("OPA answers, but {} is undefined", config.opa.path),
            "load the policy package (rego/egress and a data.yaml), or set opa.path"};
  }
  if (answer->allow) {
    return {Health::warning, check, "the policy allows a caller that nobody could identify",
            "deny where input.binary is null"};
  }
  return {
      Health::ok,
      check,
      fmt::format("{}{} answers, and denies an unknown caller", config.opa.url, config.opa.path),
      {}};
}

std::string text_of(const rapidjson::Value& problem, const char* key) {
  if (!problem.IsObject()) return "";
  const auto found = problem.FindMember(key);
  if (found == problem.MemberEnd() || !found->value.IsString()) return "";
  return {found->value.GetString(), found->value.GetStringLength()};
}

}  // namespace

void judge_problems(const Result<opa::Document>& document, Findings& out) {
  const std::string check = "policy";
  if (document && !document->result) return;  // another policy package
  const auto list = document ? opa::parse_json(*document->result) : fail(document.error());
  if (!list || !list->IsArray()) {
    out.push_back({Health::warning, check,
                   "whether the policy has mistakes is not known: " +
                       (list ? "its problems are not a list" : describe(list.error())),
                   "run warder policy check on its files"});
    return;
  }
  std::size_t errors = 0;
  for (const auto& problem : list->GetArray()) {
    if (text_of(problem, "severity") == "warning" || ++errors > kMostTold) continue;
    out.push_back({Health::failed, check,
                   fmt::format("{}: {}", text_of(problem, "path"), text_of(problem, "problem")),
                   "warder policy check tells the file and line"});
  }
  if (errors > kMostTold) {
    out.push_back({Health::failed, check, fmt::format("{} mistakes more", errors - kMostTold),
                   "run warder policy check on its files"});
  }
  if (errors > 0) return;
  out.push_back({Health::ok,
                 check,
                 list->Empty()
                     ? std::string("OPA finds no mistakes in the policy")
                     : fmt::format("OPA finds no mistakes in the policy, and warns of {} things: "
                                   "warder policy check tells which",
                                   list->Size()),
                 {}});
}

void check_opa(const Config& config, Findings& out) {
  Result<opa::ClientOptions> options = opa_options(config.opa);
  if (!options) {
    out.push_back({Health::failed, "opa", describe(options.error()),
                   "until this is right, warder run does not start"});
    return;
  }
  bool answers = false;
  with_client(config, *options, [&](opa::Client& client, std::function<void()> done) {
    return client.ask(probe_question(), [&, done = std::move(done)](const auto& answer) {
      answers = answer && !answer->undefined;
      out.push_back(judge_decision(config, answer));
      done();
    });
  });
  if (!answers) return;
  options->timeout = std::max(options->timeout, kLeastForProblems);
  with_client(config, *options, [&](opa::Client& client, std::function<void()> done) {
    return client.read(beside(config.opa.path, "problems"),
                       [&, done = std::move(done)](const auto& document) {
                         judge_problems(document, out);
                         done();
                       });
  });
}

}  // namespace warder::proxy::doctor
