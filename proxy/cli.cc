#include "proxy/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "net/error.h"
#include "proxy/config_keys.h"
#include "proxy/config_load.h"
#include "proxy/config_values.h"
#include "proxy/decisions/commands.h"
#include "proxy/doctor.h"
#include "proxy/identify.h"
#include "proxy/policy_cli.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

// A flag of the key table, and where CLI11 puts its values.
struct Flag {
  std::string_view name;
  std::vector<std::string> values;
  const CLI::Option* option = nullptr;
};

// A subcommand that loads the configuration, and the key's flags it takes.
struct Configured {
  CLI::App* app = nullptr;
  std::string config_file;
  std::deque<Flag> flags;  // CLI11 keeps references to the elements
};

struct CommandLine {
  CLI::App app{"Egress proxy that knows which program is calling", "warder"};
  Configured run, identify, doctor;
  CLI::App* check = nullptr;
  CLI::App* reference = nullptr;
  PolicyCommands policy;
  std::string checked_file;
  std::string client, proxy, original;
  bool json = false;
  std::optional<decisions::Commands> decisions;
};

// The first sentence, without the backquotes of Markdown.
std::string summary(std::string_view doc) {
  const std::size_t stop = doc.find(". ");
  std::string text(doc.substr(0, stop));
  std::erase(text, '`');
  if (!text.empty() && text.back() == '.') text.pop_back();
  return text;
}

void declare_key(Configured& command, const Key& key) {
  Flag& flag = command.flags.emplace_back();
  flag.name = key.flag;
  auto* option = command.app->add_option(std::string(key.flag), flag.values, summary(key.doc))
                     ->type_name(std::string(key.flag_value))
                     ->expected(1)
                     ->allow_extra_args(false);
  // Without this CLI11 would let the last of several win.
  option->multi_option_policy(key.shape == Key::Shape::scalar ? CLI::MultiOptionPolicy::Throw
                                                              : CLI::MultiOptionPolicy::TakeAll);
  flag.option = option;
}

// `only`: the one flag it takes; empty: all of them.
void declare_configured(Configured& command, CLI::App* app, std::string_view only) {
  command.app = app;
  app->add_option("--config", command.config_file, "Configuration file (YAML)")->type_name("FILE");
  for (const Key& key : config_keys()) {
    const bool wanted = only.empty() || key.flag == only;
    if (!key.flag.empty() && wanted) declare_key(command, key);
  }
}

void declare_endpoint(CLI::App& app, const char* flag, std::string& out, const char* what,
                      bool required) {
  app.add_option(flag, out, what)->type_name("A:P")->required(required);
}

void declare(CommandLine& line) {
  line.app.set_version_flag("--version", "warder " WARDER_VERSION);
  line.app.require_subcommand(1);

  declare_configured(line.run, line.app.add_subcommand("run", "Run the proxy in the foreground"),
                     "");

  CLI::App* identify =
      line.app.add_subcommand("identify", "Show who owns a connection, and how that is found out");
  declare_configured(line.identify, identify, "--pid");
  declare_endpoint(*identify, "--client", line.client, "The client's end of the connection", true);
  declare_endpoint(*identify, "--proxy", line.proxy, "The end that the proxy accepted", true);
  declare_endpoint(*identify, "--original", line.original,
                   "What the client dialled, where that was redirected to the proxy", false);
  identify->add_flag("--json", line.json, "One JSON object");

  CLI::App* doctor =
      line.app.add_subcommand("doctor", "Try everything once, and say what is missing here");
  declare_configured(line.doctor, doctor, "");
  doctor->add_flag("--json", line.json, "One JSON object");

  line.check = line.app.add_subcommand("check", "Say whether a configuration file is right");
  line.check->add_option("FILE", line.checked_file, "Configuration file (YAML)")->required();

  line.decisions.emplace(line.app);
  line.policy.declare(line.app);

  line.reference =
      line.app.add_subcommand("config-reference", "Write docs/config.md: every key explained");
}

std::vector<std::string> environment() {
  std::vector<std::string> entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    entries.emplace_back(*entry);
  }
  return entries;
}

int report(const Error& error) {
  const std::string cause =
      error.sys_errno == 0 ? "" : ": " + std::generic_category().message(error.sys_errno);
  fmt::print(stderr, "warder: {}{}\n", error.detail, cause);
  return kWrongUsage;
}

Result<Config> load(const Configured& command) {
  Overrides overrides;
  overrides.environment = environment();
  if (!command.config_file.empty()) overrides.file = command.config_file;
  for (const Flag& flag : command.flags) {
    if (flag.option->count() > 0) overrides.flags.emplace_back(flag.name, flag.values);
  }
  return load_config(overrides);
}

int run_proxy(const CommandLine& line, int (*run)(const Config&)) {
  const auto config = load(line.run);
  return config ? run(*config) : report(config.error());
}

// An empty text is no endpoint and no problem.
Result<void> parse_endpoint(std::string_view flag, const std::string& text,
                            std::optional<net::Endpoint>& out) {
  if (text.empty()) return {};
  net::Endpoint endpoint;
  const std::string problem = read_endpoint(text, endpoint);
  if (!problem.empty()) return fail(Errc::bad_config, fmt::format("{}: {}", flag, problem));
  out = endpoint;
  return {};
}

int identify_one(const CommandLine& line) {
  const auto config = load(line.identify);
  if (!config) return report(config.error());
  std::optional<net::Endpoint> client;
  std::optional<net::Endpoint> proxy;
  std::optional<net::Endpoint> original;
  for (const auto& parsed : {parse_endpoint("--client", line.client, client),
                             parse_endpoint("--proxy", line.proxy, proxy),
                             parse_endpoint("--original", line.original, original)}) {
    if (!parsed) return report(parsed.error());
  }
  if (!client || !proxy) {
    return report(Error{Errc::bad_config, 0, "--client and --proxy must not be empty"});
  }
  const auto found = identify(*config, {*client, *proxy, original});
  if (!found) {
    fmt::print(stderr, "warder: {}\n", visible(describe(found.error())));
    return kFailed;
  }
  fmt::print("{}", line.json ? as_json(*found) : as_text(*found));
  return found->identity.reason ? kFailed : kOk;
}

int examine_host(const CommandLine& line) {
  const auto config = load(line.doctor);
  if (!config) return report(config.error());
  const std::vector<Finding> findings = examine(*config);
  fmt::print("{}", line.json ? as_json(findings) : as_text(findings));
  return worst(findings) == Health::failed ? kFailed : kOk;
}

int check_file(const std::string& file) {
  Overrides overrides;
  overrides.file = file;
  const auto config = load_config(overrides);
  if (!config) return report(config.error());
  for (const std::string& warning : config->warnings) fmt::print("{}: {}\n", file, warning);
  fmt::print("{}: ok\n", file);
  return kOk;
}

}  // namespace

int cli_main(int argc, char** argv, int (*run)(const Config&)) {
  try {
    CommandLine line;
    declare(line);
    try {
      line.app.parse(argc, argv);
    } catch (const CLI::Success& wanted) {  // --help, --version
      return line.app.exit(wanted);
    } catch (const CLI::ParseError& error) {
      const CLI::App* at = &line.app;
      for (const Configured* command : {&line.run, &line.identify, &line.doctor}) {
        if (command->app->parsed()) at = command->app;
      }
      if (const CLI::App* chosen = line.decisions->chosen()) at = chosen;
      if (line.policy.parsed()) at = &line.policy.at();
      fmt::print(stderr, "warder: {}\n{}", visible(error.what()), at->help());
      return kWrongUsage;
    }
    if (line.run.app->parsed()) return run_proxy(line, run);
    if (line.identify.app->parsed()) return identify_one(line);
    if (line.doctor.app->parsed()) return examine_host(line);
    if (line.policy.parsed()) return line.policy.run();
    if (line.check->parsed()) return check_file(line.checked_file);
    if (line.decisions->chosen() != nullptr) return line.decisions->run();
    fmt::print("{}", config_reference());
    return kOk;
  } catch (const std::exception& error) {
    fmt::print(stderr, "warder: {}\n", visible(error.what()));
    return kFailed;
  }
}

}  // namespace warder::proxy
