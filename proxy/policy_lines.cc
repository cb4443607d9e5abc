#include "proxy/policy_lines.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <functional>
#include <numeric>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace warder::proxy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLocated = 100;
constexpr std::size_t kMostFiles = 4096;
constexpr std::uintmax_t kLargestFile = std::uintmax_t{16} << 20;

constexpr std::string_view kPolicies = "network_policies";
constexpr std::string_view kIndex = "egress_index";
// What the policy package reads below `data`, beside what OPA itself puts there.
constexpr std::array<std::string_view, 3> kRead{kPolicies, "revision", kIndex};
constexpr std::string_view kOfOpa = "system";

struct Place {
  std::size_t depth = 0;  // how many parts of the pointer were found
  std::size_t line = 0;
};

YAML::Node child_of(const YAML::Node& node, const std::string& part) {
  if (node.IsMap()) return node[part];
  std::size_t index = 0;
  const auto* const end = part.data() + part.size();
  const auto parsed = std::from_chars(part.data(), end, index);
  if (!node.IsSequence() || parsed.ec != std::errc{} || parsed.ptr != end || index >= node.size())
    return YAML::Node(YAML::NodeType::Undefined);
  return node[index];
}

Place place_in(YAML::Node node, const std::vector<std::string>& parts, std::size_t from) {
  Place place;
  for (std::size_t i = from; i < parts.size(); ++i) {
    const YAML::Node child = child_of(node, parts[i]);
    if (!child.IsDefined()) break;
    node.reset(child);
    place = {i + 1, static_cast<std::size_t>(node.Mark().line) + 1};
  }
  return place;
}

bool is_data_file(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// The directories on the way to it, which are parts of the pointers into it.
std::vector<std::string> prefix_of(const fs::path& file, const fs::path& directory) {
  std::vector<std::string> parts;
  for (const fs::path& part : file.lexically_relative(directory).parent_path())
    parts.push_back(part);
  return parts;
}

// OPA has said what is wrong with those that can't be read here, or reads them another way.
void for_each_file(const std::string& directory,
                   const std::function<void(const fs::path& file, const YAML::Node& root)>& visit) {
  std::error_code error;
  std::size_t files = 0;
  for (fs::recursive_directory_iterator at(directory, error), end; at != end && !error;
       at.increment(error)) {
    if (!is_data_file(at->path()) || !at->is_regular_file(error)) continue;
    if (at->file_size(error) > kLargestFile) continue;
    if (++files > kMostFiles) return;
    try {
      visit(at->path(), YAML::LoadFile(at->path()));
    } catch (const YAML::Exception&) {
      continue;
    }
  }
}

std::string escaped(std::string_view part) {
  std::string out;
  for (const char byte : part)
    out += byte == '~' ? "~0" : byte == '/' ? "~1" : std::string(1, byte);
  return out;
}

// Aliases make a small file a large tree.
class WrongKeys {
 public:
  WrongKeys(std::string file, std::vector<PolicyProblem>& out)
      : file_(std::move(file)), out_(out) {}

  void visit(const YAML::Node& node, const std::string& path, std::size_t depth) {
    if (depth > kDeepest || ++visited_ > kMostNodes || out_.size() >= kMostLocated) return;
    if (node.IsSequence())
      for (std::size_t i = 0; i < node.size(); ++i)
        visit(node[i], path + "/" + std::to_string(i), depth + 1);
    if (!node.IsMap()) return;
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) continue;
      const std::string below = (path.empty() ? "" : path + "/") + escaped(entry.first.Scalar());
      if (!seen.insert(entry.first.Scalar()).second)
        out_.push_back({PolicyProblem::Severity::error, below,
                        "stands here a second time: OPA would take one of the two only", file_,
                        static_cast<std::size_t>(entry.first.Mark().line) + 1});
      const std::string top = path.substr(0, path.find('/'));
      if (entry.first.Scalar() == kPolicies && !path.empty() && top != kPolicies && top != kIndex)
        out_.push_back({PolicyProblem::Severity::warning, below,
                        "these policies are not loaded: network_policies counts in no directory "
                        "below the one that is named, and below no other key",
                        file_, static_cast<std::size_t>(entry.first.Mark().line) + 1});
      visit(entry.second, below, depth + 1);
    }
  }

 private:
  static constexpr std::size_t kDeepest = 64;
  static constexpr std::size_t kMostNodes = 1'000'000;
  std::string file_;
  std::vector<PolicyProblem>& out_;
  std::size_t visited_ = 0;
};

// How many letters have to be put in, left out or replaced.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, diagonal + 1, replaced});
    }
  }
  return row.back();
}

// network_policy is three edits away from what is meant; decision, a word of its own, two from
// revision.
bool is_misspelling(std::string_view key, std::string_view of) {
  const std::size_t most = std::min<std::size_t>(of.size() / 5, 3);
  return key.size() <= of.size() + most && edits_between(key, of) <= most;
}

// Keys of `data` itself. Other packages may have theirs in the same directory.
class UnreadKeys {
 public:
  void visit(const YAML::Node& root, const std::vector<std::string>& prefix,
             const std::string& file) {
    if (!root.IsMap()) return;
    if (prefix.empty()) {
      for (const auto& entry : root)
        if (entry.first.IsScalar())
          add(entry.first.Scalar(), file, static_cast<std::size_t>(entry.first.Mark().line) + 1);
      return;
    }
    // With policies in it, it is told of for those.
    const bool told = root[std::string(kPolicies)].IsDefined();
    if (!told && directories_.insert(prefix.front()).second) add(prefix.front(), file, 0);
  }
  [[nodiscard]] std::vector<PolicyProblem> take() { return std::move(found_); }

 private:
  void add(const std::string& key, const std::string& file, std::size_t line) {
    if (key == kOfOpa || std::find(kRead.begin(), kRead.end(), key) != kRead.end()) return;
    if (found_.size() >= kMostLocated) return;
    const auto* const meant = std::find_if(kRead.begin(), kRead.end(), [&](std::string_view read) {
      return is_misspelling(key, read);
    });
    if (meant != kRead.end())
      found_.push_back({PolicyProblem::Severity::error, escaped(key),
                        fmt::format("nothing reads this key: is {} meant?", *meant), file, line});
    else
      found_.push_back({PolicyProblem::Severity::warning, escaped(key),
                        "the policy package doesn't read this key", file, line});
  }

  std::set<std::string> directories_;
  std::vector<PolicyProblem> found_;
};

}  // namespace

std::vector<std::string> pointer_parts(const std::string& pointer) {
  std::vector<std::string> parts;
  if (pointer.empty()) return parts;
  parts.emplace_back();
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '/') {
      parts.emplace_back();
    } else if (pointer[i] == '~' && i + 1 < pointer.size()) {
      parts.back() += pointer[++i] == '1' ? '/' : '~';
    } else {
      parts.back() += pointer[i];
    }
  }
  return parts;
}

void locate(const std::string& directory, std::vector<PolicyProblem>& problems) {
  struct Sought {
    PolicyProblem* problem;
    std::vector<std::string> parts;
    std::size_t depth = 0;
  };
  std::vector<Sought> all;
  for (PolicyProblem& problem : problems)
    if (problem.file.empty() && all.size() < kMostLocated)
      all.push_back({&problem, pointer_parts(problem.path)});
  if (all.empty()) return;
  for_each_file(directory, [&](const fs::path& file, const YAML::Node& root) {
    const auto prefix = prefix_of(file, directory);
    for (Sought& one : all) {
      const auto& parts = one.parts;
      if (parts.size() <= prefix.size() || !std::equal(prefix.begin(), prefix.end(), parts.begin()))
        continue;
      const Place place = place_in(root, parts, prefix.size());
      if (place.depth <= one.depth) continue;
      one.depth = place.depth;
      one.problem->file = file;
      one.problem->line = place.line;
    }
  });
}

std::vector<PolicyProblem> wrong_keys(const std::string& directory) {
  std::vector<PolicyProblem> found;
  // However many there are, the others are found too.
  UnreadKeys unread;
  for_each_file(directory, [&](const fs::path& file, const YAML::Node& root) {
    const std::vector<std::string> prefix = prefix_of(file, directory);
    std::string path;
    for (const std::string& part : prefix) path += (path.empty() ? "" : "/") + escaped(part);
    WrongKeys(file, found).visit(root, path, 0);
    unread.visit(root, prefix, file);
  });
  for (PolicyProblem& problem : unread.take()) found.push_back(std::move(problem));
  return found;
}

}  // namespace warder::proxy
