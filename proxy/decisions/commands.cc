#include "proxy/decisions/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/decisions/instant.h"
#include "proxy/decisions/options.h"
#include "proxy/text_escape.h"

namespace warder::decisions {

struct Command {
  CLI::App* app = nullptr;
  int (*run)(const Options& options) = nullptr;
  bool needs_records = false;
  Options options;
  std::string since, until;
  bool json = false, csv = false;
};

namespace {

constexpr const char* kLogVariable = "WARDER_DECISION_LOG";
constexpr const char* kRecordsVariable = "WARDER_RECORDS";

int show_all(const Options& options) { return run_show(options, false); }
int show_briefly(const Options& options) { return run_show(options, true); }

// One value after the flag, which may be there several times.
void take_each(CLI::Option* option, const char* type) {
  option->type_name(type)->expected(1)->allow_extra_args(false)->multi_option_policy(
      CLI::MultiOptionPolicy::TakeAll);
}

void declare_sources(Command& command) {
  command.app->add_option(
      "FILE", command.options.logs,
      fmt::format("OPA's decision log; - is standard input (${})", kLogVariable));
}

void declare_records(Command& command) {
  take_each(command.app->add_option("--records", command.options.records,
                                    fmt::format("Warder's own records (${})", kRecordsVariable)),
            "FILE");
  command.app->add_flag("--progress", command.options.progress, "Say how far it is");
}

void declare_filter(Command& command) {
  CLI::App& app = *command.app;
  Filter& filter = command.options.filter;
  const auto list = [&](const char* flag, auto& out, const char* what, const char* type) {
    take_each(app.add_option(flag, out, what), type);
  };
  app.add_option("--since", command.since, "From then on: RFC 3339, or how long ago (15m, 2h, 7d)");
  app.add_option("--until", command.until, "Before then");
  list("--binary", filter.binaries, "Path of the program; * and ** as in policies", "PATH");
  list("--host", filter.hosts, "Host; * and ** as in policies", "HOST");
  list("--port", filter.ports, "Port", "N");
  app.add_flag("--allow", filter.allow, "Only what was allowed");
  app.add_flag("--deny", filter.deny, "Only what was not");
  list("--policy", filter.policies, "Policy that allowed it", "NAME");
  app.add_option("--reason", filter.reason, "Part of the reason");
  list("--grade", filter.grades, "exact, shared, ambiguous or unresolved", "WORD");
  list("--assurance", filter.assurances, "proven, observed or suspect", "WORD");
  list("--container", filter.containers, "Container's id, or its beginning", "ID");
  list("--revision", filter.revisions, "Revision of the policies", "TEXT");
  list("--request-id", filter.request_ids, "Warder's id of the request", "ID");
  list("--decision-id", filter.decision_ids, "OPA's id of the decision", "ID");
  app.add_option("--path", filter.path, "The document that was asked for; * for any")
      ->capture_default_str();
  app.add_flag("--probes", filter.probes, "Warder's own probes too");
}

void declare_form(Command& command, bool csv) {
  CLI::Option* json = command.app->add_flag("--json", command.json, "One JSON object to a line");
  if (csv) command.app->add_flag("--csv", command.csv, "RFC 4180")->excludes(json);
}

void declare_limit(Command& command) {
  command.app->add_option("--limit", command.options.limit, "At most so many rows")->type_name("N");
}

void declare_room(Command& command) {
  command.app
      ->add_option("--max-ids", command.options.most_ids,
                   "How many records to keep in mind at most")
      ->capture_default_str();
}

std::int64_t now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

std::vector<std::string> files_of_variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): no thread yet
  std::vector<std::string> files;
  std::string_view left = value == nullptr ? "" : value;
  while (!left.empty()) {
    const std::size_t colon = left.find(':');
    if (colon != 0) files.emplace_back(left.substr(0, colon));
    left.remove_prefix(colon == std::string_view::npos ? left.size() : colon + 1);
  }
  return files;
}

Result<void> check_sources(const Command& command) {
  const Options& options = command.options;
  if (options.logs.empty() && options.records.empty()) {
    return fail(Errc::bad_config,
                fmt::format("no log was named: FILE, - for standard input, or ${}", kLogVariable));
  }
  if (!command.needs_records) return {};
  if (options.logs.empty() || options.records.empty()) {
    return fail(Errc::bad_config, fmt::format("OPA's log and Warder's records are needed: FILE... "
                                              "--records FILE, or ${} and ${}",
                                              kLogVariable, kRecordsVariable));
  }
  if (std::find(options.records.begin(), options.records.end(), "-") != options.records.end()) {
    return fail(Errc::bad_config, "--records: they are read twice, which standard input can't be");
  }
  return {};
}

Result<void> complete(Command& command) {
  Options& options = command.options;
  if (options.logs.empty()) options.logs = files_of_variable(kLogVariable);
  if (options.records.empty()) options.records = files_of_variable(kRecordsVariable);
  options.form = command.json ? Form::json : command.csv ? Form::csv : Form::table;
  options.progress = options.progress || ::isatty(STDERR_FILENO) == 1;
  for (auto [text, out] : {std::pair{&command.since, &options.filter.since},
                           std::pair{&command.until, &options.filter.until}}) {
    if (text->empty()) continue;
    const auto when = parse_when(*text, now());
    if (!when) return fail(when.error());
    *out = *when;
  }
  for (std::string& host : options.filter.hosts) {
    for (char& c : host) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return check_sources(command);
}

}  // namespace

struct Commands::Declared {
  CLI::App* group = nullptr;
  std::deque<Command> commands;  // CLI11 keeps references to the elements

  Command& add(CLI::App* parent, const char* name, const char* what,
               int (*run)(const Options& options)) {
    Command& command = commands.emplace_back();
    command.app = parent->add_subcommand(name, what);
    command.run = run;
    return command;
  }
  void add_top();
  void add_show(CLI::App* parent, const char* name, const char* what,
                int (*run)(const Options& options));
};

void Commands::Declared::add_top() {
  Command& top = add(group, "top", "What comes most often", run_top);
  top.app->add_option("WHAT", top.options.what, "Of what")
      ->required()
      ->check(CLI::IsMember(top_kinds()));
  declare_sources(top);
  declare_filter(top);
  declare_form(top, true);
  declare_limit(top);
  top.app->add_flag("--progress", top.options.progress, "Say how far it is");
}

void Commands::Declared::add_show(CLI::App* parent, const char* name, const char* what,
                                  int (*run)(const Options& options)) {
  Command& show = add(parent, name, what, run);
  show.app->add_option("ID", show.options.id, "Of a decision or a request")->required();
  declare_sources(show);
  declare_records(show);
  declare_form(show, false);
}

Commands::Commands(CLI::App& program) : declared_(std::make_unique<Declared>()) {
  Declared& all = *declared_;
  all.group = program.add_subcommand("decisions", "Read OPA's decision log and Warder's records");
  all.group->require_subcommand(1);

  Command& query = all.add(all.group, "query", "Decisions, one to a line", run_query);
  declare_sources(query);
  declare_records(query);
  declare_filter(query);
  declare_form(query, true);
  declare_limit(query);
  declare_room(query);

  Command& tail = all.add(all.group, "tail", "New decisions, as they are logged", run_tail);
  declare_sources(tail);
  declare_filter(tail);
  declare_form(tail, true);
  declare_limit(tail);
  tail.app->add_flag("--from-start", tail.options.from_start, "What is there already, too");

  all.add_show(all.group, "show", "One decision, whole", show_all);
  all.add_top();

  Command& stats = all.add(all.group, "stats", "Totals", run_stats);
  declare_sources(stats);
  declare_records(stats);
  declare_filter(stats);
  declare_form(stats, false);

  Command& compare = all.add(all.group, "compare",
                             "Decisions that stand in only one of the two logs", run_compare);
  compare.needs_records = true;
  declare_sources(compare);
  declare_records(compare);
  declare_filter(compare);
  declare_form(compare, true);
  declare_room(compare);

  all.add_show(&program, "why", "Why a request was allowed or refused", show_briefly);
}

Commands::~Commands() = default;

const CLI::App* Commands::chosen() const {
  for (const Command& command : declared_->commands) {
    if (command.app->parsed()) return command.app;
  }
  return declared_->group->parsed() ? declared_->group : nullptr;
}

int Commands::run() {
  for (Command& command : declared_->commands) {
    if (!command.app->parsed()) continue;
    if (const auto done = complete(command); !done) {
      fmt::print(stderr, "warder: {}\n", proxy::visible(done.error().detail));
      return 2;
    }
    return command.run(command.options);
  }
  return 2;
}

}  // namespace warder::decisions
