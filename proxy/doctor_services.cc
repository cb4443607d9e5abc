#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "identity/resolver.h"
#include "net/lookup.h"
#include "net/loop.h"
#include "net/socket.h"
#include "proxy/doctor_checks.h"
#include "proxy/name_options.h"

namespace warder::proxy::doctor {
namespace {

std::string joined(const std::vector<identity::Cause>& causes) {
  std::string text;
  for (const identity::Cause cause : causes)
    text += (text.empty() ? "" : ", ") + std::string(identity::name(cause));
  return text;
}

Finding judge_self(const identity::Identity& identity) {
  const std::string check = "self";
  const auto& processes = identity.processes;
  if (processes.size() != 1 || processes.front().pid != ::getpid()) {
    const std::string_view why =
        identity.detail.empty() ? identity::name(identity.grade) : identity.detail;
    return {Health::failed, check,
            fmt::format("a connection of Warder's own was not traced to it: {}", why),
            "see what is said of capabilities and of the process view"};
  }
  const std::string seen =
      fmt::format("a connection of Warder's own was traced to it by {}: {}, {}", identity.method,
                  identity::name(identity.grade), identity::name(identity.assurance));
  if (identity.assurance == identity::Assurance::proven) return {Health::ok, check, seen, {}};
  return {Health::warning, check, fmt::format("{} ({})", seen, joined(identity.causes)),
          "what is missing for proof is said of each ability"};
}

}  // namespace

std::vector<identity::ScopeResult> check_self(identity::Resolver& resolver, Findings& out) {
  const net::Endpoint loopback{net::IpAddress::v4({127, 0, 0, 1}), 0};
  const Result<net::UniqueFd> listener = net::listen_tcp(loopback, 1, net::PortSharing::exclusive);
  const Result<net::Endpoint> at =
      listener ? net::local_endpoint(listener->get()) : fail(listener.error());
  const Result<net::UniqueFd> client = at ? net::start_connect(*at) : fail(at.error());
  const Result<net::Endpoint> from =
      client ? net::local_endpoint(client->get()) : fail(client.error());
  if (!from) {
    out.push_back({Health::failed,
                   "self",
                   "no connection over loopback could be made: " + describe(from.error()),
                   {}});
    return {};
  }
  std::vector<identity::ScopeResult> searched;
  net::Loop loop;
  const auto lookup =
      resolver.start({*from, *at, std::nullopt}, loop, [&](const identity::Identity& identity) {
        out.push_back(judge_self(identity));
        searched = identity.searched;
        loop.stop();
      });
  loop.run();
  return searched;
}

void check_names(const Config& config, Findings& out) {
  net::Loop loop;
  std::string server =
      config.dns.server.empty() ? "the name server of resolv.conf" : config.dns.server;
  net::NameResolverOptions options = name_options(config);
  options.on_servers = [&server](const net::NameServers& servers) {
    server = fmt::format("{} ({})", servers.asked, servers.problem);
  };
  const auto resolver = net::make_name_resolver(loop, std::move(options));
  if (!resolver) {
    out.push_back({Health::failed, "dns", describe(resolver.error()), {}});
    return;
  }
  // Reserved (RFC 6761 section 6.4): the question tells nobody anything.
  const auto lookup = (*resolver)->start(
      "warder-doctor.invalid", [&](const Result<std::vector<net::IpAddress>>& answer) {
        if (answer || answer.error().code == Errc::name_not_found) {
          out.push_back({Health::ok, "dns", server + " answers", {}});
        } else {
          out.push_back({Health::failed, "dns",
                         fmt::format("{}: {}", server, describe(answer.error())),
                         "set dns.server, or let Warder reach its name server"});
        }
        loop.stop();
      });
  loop.run();
}

}  // namespace warder::proxy::doctor
