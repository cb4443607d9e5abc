#include "proxy/policy_programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "identity/image_access.h"
#include "identity/path_way.h"
#include "identity/proc_fs.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kMostMatches = 10;
constexpr std::size_t kMostVisited = 200'000;
constexpr std::size_t kDeepest = 64;
constexpr std::size_t kScriptLine = 256;

// What runs whatever it is told to: a policy that lists one lists every program and script.
constexpr std::array<std::string_view, 62> kLaunchers{
    "ash",    "awk",     "bash",    "bun",         "busybox", "chroot", "csh",     "dash",
    "deno",   "doas",    "emacs",   "env",         "expect",  "find",   "fish",    "flock",
    "gawk",   "gdb",     "ionice",  "java",        "ksh",     "lua",    "luajit",  "make",
    "mawk",   "mksh",    "nice",    "node",        "nodejs",  "nohup",  "nsenter", "parallel",
    "perl",   "php",     "pwsh",    "pypy",        "python",  "rbash",  "ruby",    "runuser",
    "script", "setarch", "setpriv", "setsid",      "sh",      "socat",  "ssh",     "stdbuf",
    "strace", "su",      "sudo",    "systemd-run", "tclsh",   "tcsh",   "time",    "timeout",
    "toybox", "unshare", "vim",     "watch",       "xargs",   "zsh"};

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "python3.11" and "perl5.36.0" are python and perl.
std::string_view without_version(std::string_view name) {
  const std::size_t last = name.find_last_not_of("0123456789.-");
  return last == std::string_view::npos ? name : name.substr(0, last + 1);
}

// ld.so(8): ld-linux-aarch64.so.1, ld-musl-x86_64.so.1, ld64.so.2, ld-2.31.so, …
bool is_dynamic_linker(std::string_view name) {
  const bool begins =
      name.starts_with("ld-") || name.starts_with("ld.so") || name.starts_with("ld64.so");
  return begins && name.find(".so") != std::string_view::npos;
}

bool is_launcher(std::string_view path) {
  const std::string_view name = base_name(path);
  return is_dynamic_linker(name) ||
         std::find(kLaunchers.begin(), kLaunchers.end(), name) != kLaunchers.end() ||
         std::find(kLaunchers.begin(), kLaunchers.end(), without_version(name)) != kLaunchers.end();
}

// execve(2): the program that the kernel runs for a script. Empty for what is no script.
std::string interpreter_of(int root, const std::string& file) {
  const auto place = identity::open_in_root(root, file);
  if (!place) return {};
  // O_PATH can't be read; the kernel's link to it can be opened.
  auto line = identity::read_beginning(AT_FDCWD, "/proc/self/fd/" + std::to_string(place->get()),
                                       kScriptLine);
  if (!line || !line->starts_with("#!")) return {};
  std::string text = line->substr(2, line->find('\n') - 2);
  text.erase(0, text.find_first_not_of(" \t"));
  return text;
}

// As what policies list a path: the first entry of each kind.
struct Roles {
  std::string caller;
  std::string without_sha256;  // a caller, by its path alone
  std::string with_descendants;
  std::string starter;
};

class Looker {
 public:
  Looker(int root, const Writer& writer) : root_(root), writer_(writer) {}

  void look(ProgramReport& report, const Roles& roles) {
    roles_ = roles;
    if (report.path.find('*') != std::string::npos) return look_at_pattern(report);
    auto way = identity::follow_path(root_, report.path);
    if (!way) {
      report.warnings.push_back(
          fmt::format("there is no such program here: {}", describe(way.error())));
      return;
    }
    report.resolves_to = way->file;
    for (const auto& link : way->links) report.links.push_back(link.at + " -> " + link.target);
    if (!way->state.regular)
      return report.warnings.emplace_back("is not a regular file, so nobody runs it"), void();
    if (calls()) look_at_caller(report.path, way->file, report.warnings);
    look_at_file(way->file, report.warnings);
    for (const auto& link : way->links) look_at_link(link.at, report.warnings);
  }

 private:
  [[nodiscard]] bool calls() const { return !roles_.caller.empty(); }
  // Whoever changes the file is then taken for it: a sha256 isn't asked for.
  [[nodiscard]] bool known_by_path() const {
    return !roles_.without_sha256.empty() || !roles_.starter.empty();
  }

  void look_at_caller(const std::string& name, const std::string& file,
                      std::vector<std::string>& warnings) {
    const std::string script = interpreter_of(root_, file);
    if (!script.empty())
      warnings.push_back(fmt::format(
          "{} is a script: the kernel runs its interpreter ({}), and a caller is known by that",
          file, script));
    look_at_real_caller(name, file, warnings);
    if (script.empty()) look_at_program(name, file, warnings);
  }

  static void look_at_real_caller(const std::string& name, const std::string& file,
                                  std::vector<std::string>& warnings) {
    for (const RealCaller& known : kRealCallers)
      if (base_name(name) == known.name || base_name(file) == known.name)
        warnings.push_back(
            fmt::format("{} does not connect itself: who calls is {}", known.name, known.caller));
  }

  // That what starts a caller runs other things too doesn't matter: the caller has its own entry.
  static void look_at_program(const std::string& name, const std::string& file,
                              std::vector<std::string>& warnings) {
    if (is_launcher(file) || is_launcher(name))
      warnings.push_back(
          fmt::format("{} runs whatever it is told to: this lists every script and program that it "
                      "is given",
                      file));
  }

  // A script too: a program may be put into its place.
  void look_at_file(const std::string& file, std::vector<std::string>& warnings) const {
    if (!known_by_path() ||
        !identity::may_change_path(root_, file, writer_.credentials, writer_.capable))
      return;
    const std::string may =
        fmt::format("{} may write to {}, or put another file into its place: ", writer_.name, file);
    if (!roles_.without_sha256.empty())
      warnings.push_back(may + fmt::format("only a sha256 tells what runs, and {} has none",
                                           roles_.without_sha256));
    if (!roles_.starter.empty())
      warnings.push_back(may + "whatever is there then satisfies " + roles_.starter);
  }

  void look_at_link(const std::string& link, std::vector<std::string>& warnings) const {
    if (known_by_path() &&
        identity::may_change_link(root_, link, writer_.credentials, writer_.capable))
      warnings.push_back(
          fmt::format("{} may put another link into the place of {}", writer_.name, link));
  }

  void look_at_pattern(ProgramReport& report) {
    visited_ = 0;
    // Nothing above the last '/' before the first '*' need be visited.
    std::string base = report.path.substr(0, report.path.find('*'));
    base.resize(base.rfind('/'));
    const auto way = identity::follow_path(root_, base.empty() ? "/" : base);
    if (way && !way->links.empty()) {
      report.warnings.push_back(
          fmt::format("{} is reached by a link ({} -> {}): patterns are compared with the kernel's "
                      "paths, which "
                      "have none; write {}",
                      base, way->links[0].at, way->links[0].target, way->file));
      return;
    }
    if (way) visit(base, 0, report);
    if (report.matches.empty()) report.warnings.emplace_back("matches no file here");
    if (visited_ >= kMostVisited)
      report.warnings.push_back(
          fmt::format("only the first {} files and directories were looked at", kMostVisited));
  }

  void visit(const std::string& directory, std::size_t depth, ProgramReport& report) {
    const bool deep = report.path.find("**") != std::string::npos;
    const auto segments = [](std::string_view path) {
      return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
    };
    if (depth >= kDeepest || (!deep && segments(directory) >= segments(report.path))) return;
    const auto place = identity::open_in_root(root_, directory.empty() ? "/" : directory);
    if (!place) return;
    std::vector<std::string> here;
    std::vector<std::string> below;
    (void)identity::list_directory(place->get(), ".", [&](int at, const char* name) {
      if (++visited_ > kMostVisited) return;
      struct stat info {};
      if (::fstatat(at, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return;
      const std::string path = directory + "/" + name;
      if (S_ISDIR(info.st_mode)) below.push_back(path);
      if (!S_ISREG(info.st_mode) || (info.st_mode & 0111U) == 0) return;
      if (matches_path(report.path, path)) here.push_back(path);
    });
    std::sort(here.begin(), here.end());
    for (const std::string& each : here) found(each, report);
    std::sort(below.begin(), below.end());
    for (const std::string& each : below)
      if (visited_ < kMostVisited) visit(each, depth + 1, report);
  }

  void found(const std::string& path, ProgramReport& report) {
    if (report.matches.size() < kMostMatches) report.matches.push_back(path);
    std::vector<std::string> warnings;
    // Nobody is known by a script, which a pattern may well match beside what is meant.
    if (calls() && interpreter_of(root_, path).empty()) {
      look_at_real_caller(path, path, warnings);
      look_at_program(path, path, warnings);
    }
    look_at_file(path, warnings);
    for (std::string& warning : warnings)
      if (report.warnings.size() < kMostMatches) report.warnings.push_back(std::move(warning));
  }

  int root_;
  const Writer& writer_;
  Roles roles_;
  std::size_t visited_ = 0;
};

struct Mentioned {
  ProgramReport report;
  Roles roles;

  void mention(const std::string& path, const std::string& pointer) {
    if (report.entries++ > 0) return;
    report.path = path;
    report.first_entry = pointer;
  }
};

std::map<std::string, Mentioned> all_mentioned(std::span<const PolicyBinary> binaries) {
  std::map<std::string, Mentioned> all;
  const auto mention = [&](const std::string& path, const std::string& pointer,
                           std::string Roles::*as) {
    if (!path.starts_with('/')) return;
    Mentioned& one = all[path];
    one.mention(path, pointer);
    if ((one.roles.*as).empty()) one.roles.*as = pointer;
  };
  for (const PolicyBinary& binary : binaries) {
    mention(binary.path, binary.pointer, &Roles::caller);
    for (const std::string& starter : binary.started_by)
      mention(starter, binary.pointer + "/started_by", &Roles::starter);
    const auto found = all.find(binary.path);
    if (found == all.end()) continue;
    Roles& roles = found->second.roles;
    if (!binary.sha256 && roles.without_sha256.empty()) roles.without_sha256 = binary.pointer;
    if (binary.descendants && roles.with_descendants.empty())
      roles.with_descendants = binary.pointer;
  }
  return all;
}

// The programs behind a caller are known by the kernel's paths alone.
void warn_of_ancestors(Mentioned& one) {
  ProgramReport& report = one.report;
  const Roles& roles = one.roles;
  if (!roles.with_descendants.empty())
    report.warnings.push_back(
        fmt::format("with descendants ({}) it gives all that it starts the same access: hooks, "
                    "pagers, helpers and shells too",
                    roles.with_descendants));
  const std::string& starts = roles.starter.empty() ? roles.with_descendants : roles.starter;
  if (report.links.empty() || starts.empty()) return;
  report.warnings.push_back(fmt::format(
      "what starts others ({}) is compared with the kernel's paths, which have no links: write {}",
      starts, report.resolves_to));
}

}  // namespace

bool matches_path(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern.front() != '*')
    return !path.empty() && path.front() == pattern.front() &&
           matches_path(pattern.substr(1), path.substr(1));
  const bool across = pattern.starts_with("**");
  const std::string_view rest = pattern.substr(across ? 2 : 1);
  for (std::size_t i = 0;; ++i) {
    if (matches_path(rest, path.substr(i))) return true;
    if (i == path.size() || (!across && path[i] == '/')) return false;
  }
}

std::vector<ProgramReport> look_at_programs(int root, std::span<const PolicyBinary> binaries,
                                            const Writer& writer) {
  Looker looker(root, writer);
  std::vector<ProgramReport> list;
  for (auto& [path, one] : all_mentioned(binaries)) {
    looker.look(one.report, one.roles);
    warn_of_ancestors(one);
    list.push_back(std::move(one.report));
  }
  return list;
}

}  // namespace warder::proxy
