#include "proxy/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "net/error.h"
#include "proxy/config_keys.h"
#include "proxy/config_load.h"
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

struct CommandLine {
  CLI::App app{"Egress proxy that knows which program is calling", "warder"};
  CLI::App* run = nullptr;
  CLI::App* check = nullptr;
  CLI::App* reference = nullptr;
  std::string config_file;
  std::string checked_file;
  std::deque<Flag> flags;  // CLI11 keeps references to the elements
};

// The first sentence, without the backquotes of Markdown.
std::string summary(std::string_view doc) {
  const std::size_t stop = doc.find(". ");
  std::string text(doc.substr(0, stop));
  std::erase(text, '`');
  if (!text.empty() && text.back() == '.') text.pop_back();
  return text;
}

void declare(CommandLine& line) {
  line.app.set_version_flag("--version", "warder " WARDER_VERSION);
  line.app.require_subcommand(1);

  line.run = line.app.add_subcommand("run", "Run the proxy in the foreground");
  line.run->add_option("--config", line.config_file, "Configuration file (YAML)")
      ->type_name("FILE");
  for (const Key& key : config_keys()) {
    if (key.flag.empty()) continue;
    Flag& flag = line.flags.emplace_back();
    flag.name = key.flag;
    auto* option = line.run->add_option(std::string(key.flag), flag.values, summary(key.doc))
                       ->type_name(std::string(key.flag_value))
                       ->expected(1)
                       ->allow_extra_args(false);
    // Without this CLI11 would let the last of several win.
    option->multi_option_policy(key.shape == Key::Shape::scalar ? CLI::MultiOptionPolicy::Throw
                                                                : CLI::MultiOptionPolicy::TakeAll);
    flag.option = option;
  }

  line.check = line.app.add_subcommand("check", "Say whether a configuration file is right");
  line.check->add_option("FILE", line.checked_file, "Configuration file (YAML)")->required();

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

int run_proxy(const CommandLine& line, int (*run)(const Config&)) {
  Overrides overrides;
  overrides.environment = environment();
  if (!line.config_file.empty()) overrides.file = line.config_file;
  for (const Flag& flag : line.flags) {
    if (flag.option->count() > 0) overrides.flags.emplace_back(flag.name, flag.values);
  }
  const auto config = load_config(overrides);
  return config ? run(*config) : report(config.error());
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
      const CLI::App* at = line.run->parsed() ? line.run : &line.app;
      fmt::print(stderr, "warder: {}\n{}", visible(error.what()), at->help());
      return kWrongUsage;
    }
    if (line.run->parsed()) return run_proxy(line, run);
    if (line.check->parsed()) return check_file(line.checked_file);
    fmt::print("{}", config_reference());
    return kOk;
  } catch (const std::exception& error) {
    fmt::print(stderr, "warder: {}\n", visible(error.what()));
    return kFailed;
  }
}

}  // namespace warder::proxy
