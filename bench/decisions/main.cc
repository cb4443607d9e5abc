// bench_decisions [--events N] [--rounds N]
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "events.h"
#include "gate.h"
#include "own_network.h"
#include "run.h"
#include "run_directory.h"

namespace warder::bench {
namespace {

constexpr int kRequests = 2000;

struct Options {
  std::size_t events = 1'000'000;
  std::size_t rounds = 3;
};

// One question, put to both.
struct Question {
  std::string name;
  std::vector<std::string> flags;  // of warder decisions query --json
  std::string condition;           // of jq
};

bool parse(const std::vector<std::string>& arguments, Options& options) {
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    std::size_t* out = arguments[i] == "--events"   ? &options.events
                       : arguments[i] == "--rounds" ? &options.rounds
                                                    : nullptr;
    const std::string& text = arguments[i + 1];
    if (out == nullptr) return false;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), *out);
    if (read.ec != std::errc() || *out == 0) return false;
  }
  return arguments.size() % 2 == 0;
}

// This program is build/release/bench_decisions of the tree.
GateSite make_site(const std::string& directory) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const auto tree = self.parent_path().parent_path().parent_path();
  return {self.parent_path() / "warder", "/usr/local/bin/opa", tree / "rego/egress", directory};
}

std::vector<Question> questions(const std::string& id) {
  return {
      {"denied, to one port",
       {"--deny", "--port", "443"},
       ".result.allow != true and .input.port == 443"},
      {"allowed, by a policy",
       {"--allow", "--policy", "origins"},
       ".result.allow == true and .result.policy == \"origins\""},
      {"one host of 30", {"--host", "host7.example.com"}, ".input.host == \"host7.example.com\""},
      {"one decision", {"--decision-id", id}, ".decision_id == \"" + id + "\""},
  };
}

// What each round came to.
struct Figures {
  std::vector<Run> runs;

  [[nodiscard]] Run median() const {
    std::vector<Run> sorted = runs;
    std::sort(sorted.begin(), sorted.end(),
              [](const Run& a, const Run& b) { return a.seconds < b.seconds; });
    return sorted[sorted.size() / 2];
  }
};

void print_row(const std::string& question, const char* who, const Run& run, double megabytes) {
  fmt::print("| {} | {} | {} | {:.2f} s | {:.2f} s | {:.0f} MB/s | {:.1f} MB |\n", question, who,
             run.lines, run.seconds, run.cpu_seconds, megabytes / run.seconds,
             static_cast<double>(run.peak_rss_bytes) / 1e6);
}

Result<void> compare(const Question& question, const GateSite& site, const std::string& log,
                     std::size_t rounds) {
  std::vector<std::string> ours{site.warder, "decisions", "query", "--json"};
  ours.insert(ours.end(), question.flags.begin(), question.flags.end());
  ours.push_back(log);
  std::vector<std::string> theirs{
      "jq", "-c", "select(.path == \"egress/decision\" and " + question.condition + ")", log};
  Figures warder;
  Figures jq;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const auto& [command, figures] : {std::pair{&ours, &warder}, std::pair{&theirs, &jq}}) {
      auto run = run_to_end(*command, site.directory + "/out");
      if (!run) return fail(std::move(run.error()));
      figures->runs.push_back(*run);
    }
    if (warder.runs.back().lines != jq.runs.back().lines)
      return fail(Errc::bad_response, question.name + ": the two found different numbers");
  }
  const auto megabytes = static_cast<double>(std::filesystem::file_size(log)) / 1e6;
  print_row(question.name, "warder", warder.median(), megabytes);
  print_row(question.name, "jq", jq.median(), megabytes);
  fmt::print("| {} | jq / warder | | {:.1f} | {:.1f} | | |\n", question.name,
             jq.median().seconds / warder.median().seconds,
             jq.median().cpu_seconds / warder.median().cpu_seconds);
  std::fflush(stdout);
  return {};
}

// Without a peer: what jq can't say in bounded memory.
Result<void> alone(const std::vector<std::string>& words, const GateSite& site,
                   const std::string& log) {
  std::vector<std::string> command{site.warder, "decisions"};
  command.insert(command.end(), words.begin(), words.end());
  command.push_back(log);
  const auto run = run_to_end(command, site.directory + "/out");
  if (!run) return fail(run.error());
  print_row(words.front(), "warder", *run,
            static_cast<double>(std::filesystem::file_size(log)) / 1e6);
  return {};
}

Result<void> bench(const Options& options, const std::string& directory) {
  const GateSite site = make_site(directory);
  auto made = log_of_gate(site, kRequests);
  if (!made) return fail(std::move(made.error()));
  const std::vector<std::string> lines = decisions_in(*made);
  if (lines.size() < kRequests) return fail(Errc::bad_response, "OPA's log lacks decisions");
  const std::string log = directory + "/decisions.log";
  const auto id = repeat(lines, options.events, log);
  if (!id) return fail(id.error());
  utsname system{};
  ::uname(&system);
  fmt::print("{} events, {:.0f} MB, made from {} of a real gate; {} rounds; Linux {}\n\n",
             options.events, static_cast<double>(std::filesystem::file_size(log)) / 1e6,
             lines.size(), options.rounds, system.release);
  fmt::print(
      "| question | | found | time | CPU | rate | peak RSS |\n|---|---|---|---|---|---|---|\n");
  for (const Question& question : questions(*id)) {
    if (auto done = compare(question, site, log, options.rounds); !done) return done;
  }
  if (auto done = alone({"stats"}, site, log); !done) return done;
  return alone({"top", "denied"}, site, log);
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  namespace bench = warder::bench;
  bench::Options options;
  if (!bench::parse({argv + 1, argv + argc}, options)) {
    fmt::print(stderr, "usage: bench_decisions [--events N] [--rounds N]\n");
    return 2;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const auto inside = bench::enter_own_network();
  const bench::RunDirectory directory("bench_decisions");
  const auto done = inside ? bench::bench(options, directory.path()) : inside;
  if (done) return 0;
  fmt::print(stderr, "bench_decisions: {}\n", warder::describe(done.error()));
  return 1;
}
