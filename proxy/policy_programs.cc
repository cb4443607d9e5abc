#include "proxy/policy_programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
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
constexpr std::array<std::string_view, 64> kLaunchers{"ash",     "awk",
                                                      "bash",    "bun",
                                                      "busybox", "chroot",
                                                      "csh",     "dash",
                                                      "deno",    "doas",
                                                      "emacs",   "env",
                                                      "expect",  "find",
                                                      "fish",    "flock",
                                                      "gawk",    "gdb",
                                                      "ionice",  "java",
                                                      "ksh",     "ld-linux-x86-64.so",
                                                      "ld.so",   "lua",
                                                      "luajit",  "make",
                                                      "mawk",    "mksh",
                                                      "nice",    "node",
                                                      "nodejs",  "nohup",
                                                      "nsenter", "parallel",
                                                      "perl",    "php",
                                                      "pwsh",    "pypy",
                                                      "python",  "rbash",
                                                      "ruby",    "runuser",
                                                      "script",  "setarch",
                                                      "setpriv", "setsid",
                                                      "sh",      "socat",
                                                      "ssh",     "stdbuf",
                                                      "strace",  "su",
                                                      "sudo",    "systemd-run",
                                                      "tclsh",   "tcsh",
                                                      "time",    "timeout",
                                                      "toybox",  "unshare",
                                                      "vim",     "watch",
                                                      "xargs",   "zsh"};

struct RealCaller {
  std::string_view name, caller;
};
// Programs that have others connect for them.
constexpr std::array<RealCaller, 6> kRealCallers{{
    {"apt", "/usr/lib/apt/methods/http (and https)"},
    {"apt-get", "/usr/lib/apt/methods/http (and https)"},
    {"aptitude", "/usr/lib/apt/methods/http (and https)"},
    {"docker", "the engine (dockerd or containerd)"},
    {"git", "/usr/lib/git-core/git-remote-http (https too), and ssh for ssh remotes"},
    {"scp", "/usr/bin/ssh"},
}};

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "python3.11" and "perl5.36.0" are python and perl.
std::string_view without_version(std::string_view name) {
  const std::size_t last = name.find_last_not_of("0123456789.-");
  return last == std::string_view::npos ? name : name.substr(0, last + 1);
}

bool is_launcher(std::string_view path) {
  const std::string_view name = base_name(path);
  return std::find(kLaunchers.begin(), kLaunchers.end(), name) != kLaunchers.end() ||
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

class Looker {
 public:
  Looker(int root, const std::optional<SandboxUser>& user) : root_(root) {
    if (!user) return;
    credentials_.emplace();
    credentials_->uids.fill(user->uid);
    credentials_->gids.fill(user->gid);
  }

  // `calls`: as a caller, and not only as one that starts others.
  void look(ProgramReport& report, bool calls) {
    calls_ = calls;
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
    if (!calls_) return;
    look_at_file(report.path, way->file, report.warnings);
    for (const auto& link : way->links) look_at_link(link.at, report.warnings);
  }

 private:
  void look_at_file(const std::string& name, const std::string& file,
                    std::vector<std::string>& warnings) {
    const std::string script = interpreter_of(root_, file);
    if (!script.empty())
      warnings.push_back(fmt::format(
          "{} is a script: the kernel runs its interpreter ({}), and a caller is known by that",
          file, script));
    for (const RealCaller& known : kRealCallers)
      if (base_name(name) == known.name || base_name(file) == known.name)
        warnings.push_back(
            fmt::format("{} does not connect itself: who calls is {}", known.name, known.caller));
    if (script.empty()) look_at_program(name, file, warnings);
  }

  void look_at_program(const std::string& name, const std::string& file,
                       std::vector<std::string>& warnings) {
    if (is_launcher(file) || is_launcher(name))
      warnings.push_back(
          fmt::format("{} runs whatever it is told to: this lists every script and program that it "
                      "is given",
                      file));
    if (credentials_ && identity::may_change_path(root_, file, *credentials_, false))
      warnings.push_back(fmt::format(
          "user {} may write to {}, or put another file into its place: only a sha256 tells what "
          "runs",
          credentials_->uids[0], file));
  }

  void look_at_link(const std::string& link, std::vector<std::string>& warnings) {
    if (!credentials_) return;
    const std::string above = link.substr(0, std::max<std::size_t>(link.rfind('/'), 1));
    if (identity::may_change_path(root_, above, *credentials_, false))
      warnings.push_back(fmt::format("user {} may put another link into the place of {}",
                                     credentials_->uids[0], link));
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
    if (!calls_) return;
    // Nobody is known by a script, which a pattern may well match beside what is meant.
    if (!interpreter_of(root_, path).empty()) return;
    std::vector<std::string> warnings;
    look_at_program(path, path, warnings);
    for (std::string& warning : warnings)
      if (report.warnings.size() < kMostMatches) report.warnings.push_back(std::move(warning));
  }

  int root_;
  std::optional<identity::ProcStatus> credentials_;
  bool calls_ = true;
  std::size_t visited_ = 0;
};

// A path, and the first entries that list it: as a binary, with what it starts, as what starts one.
struct Mentioned {
  ProgramReport report;
  std::string binary, with_descendants, starter;

  void mention(const std::string& path, const std::string& pointer) {
    if (report.entries++ > 0) return;
    report.path = path;
    report.first_entry = pointer;
  }
};

std::map<std::string, Mentioned> all_mentioned(std::span<const PolicyBinary> binaries) {
  std::map<std::string, Mentioned> all;
  const auto mention = [&](const std::string& path, const std::string& pointer,
                           std::string Mentioned::*as) {
    if (!path.starts_with('/')) return;
    Mentioned& one = all[path];
    one.mention(path, pointer);
    if ((one.*as).empty()) one.*as = pointer;
  };
  for (const PolicyBinary& binary : binaries) {
    mention(binary.path, binary.pointer, &Mentioned::binary);
    for (const std::string& starter : binary.started_by)
      mention(starter, binary.pointer + "/started_by", &Mentioned::starter);
    if (!binary.descendants || !all.contains(binary.path)) continue;
    std::string& first = all[binary.path].with_descendants;
    if (first.empty()) first = binary.pointer;
  }
  return all;
}

// The programs behind a caller are known by the kernel's paths alone.
void warn_of_ancestors(Mentioned& one) {
  ProgramReport& report = one.report;
  if (!one.with_descendants.empty())
    report.warnings.push_back(
        fmt::format("with descendants ({}) it gives all that it starts the same access: hooks, "
                    "pagers, helpers and shells too",
                    one.with_descendants));
  const std::string& starts = one.starter.empty() ? one.with_descendants : one.starter;
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
                                            const std::optional<SandboxUser>& user) {
  Looker looker(root, user);
  std::vector<ProgramReport> list;
  for (auto& [path, one] : all_mentioned(binaries)) {
    looker.look(one.report, !one.binary.empty());
    warn_of_ancestors(one);
    list.push_back(std::move(one.report));
  }
  return list;
}

Result<SandboxUser> parse_user(const std::string& text) {
  const auto number = [](std::string_view digits, unsigned& out) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size();
  };
  const std::size_t colon = text.find(':');
  SandboxUser user;
  const std::string_view uid = std::string_view(text).substr(0, colon);
  const std::string_view gid =
      colon == std::string::npos ? uid : std::string_view(text).substr(colon + 1);
  if (!number(uid, user.uid) || !number(gid, user.gid))
    return fail(Errc::bad_config, "--user: must be UID or UID:GID, in digits");
  return user;
}

}  // namespace warder::proxy
