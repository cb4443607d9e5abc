#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "identity/effort.h"
#include "identity/identity.h"
#include "identity/lru.h"
#include "identity/path_way.h"
#include "identity/policy_paths.h"

namespace warder::identity {

// Tells which of the policy's paths are a running image. Belongs to one thread at a time.
// For each root all paths are looked up about once a second, and when an image comes along that was
// not there then; that may wait for a file system and is never done at once (Effort). No name is
// given that isn't looked up anew: at once by its links, which can't be changed but only replaced
// by others, and by the path without them, in what the kernel has cached; else by the kernel.
class PathNames {
 public:
  // Both outlive this.
  explicit PathNames(const PolicyPaths& paths, Effort* effort = nullptr)
      : paths_(paths), effort_(effort), indices_(kMostRoots) {}

  // Those that lead to `image` below the directory `root`, links followed, in the order of the
  // list. `sure`: a path without links that the caller has just found to do so, or nullptr. At once
  // it may be none, with the look given up.
  [[nodiscard]] std::vector<std::string> of(int root, const FileId& image,
                                            const std::string* sure = nullptr);
  // Which list of paths that was (PolicyPaths::generation).
  [[nodiscard]] std::uint64_t generation() const { return list_.generation; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMostRoots = 64;

  // Two equal ones are the same directory, seen through the same mount, as long as both are there.
  struct Root {
    FileId directory;
    std::uint64_t mount = 0;
    friend bool operator==(const Root&, const Root&) = default;
  };
  struct RootHash {
    std::size_t operator()(const Root& root) const;
  };
  struct FileIdHash {
    std::size_t operator()(const FileId& file) const;
  };
  // What was found below one root.
  struct Index {
    std::unordered_map<FileId, std::vector<std::size_t>, FileIdHash> paths;  // numbers in list_
    std::unordered_set<FileId, FileIdHash> nameless;  // were looked for since, and had no path
    std::unordered_map<std::size_t, PathWay> ways;    // of those whose names were given
    Clock::time_point built;
    Clock::duration cost{};
  };

  [[nodiscard]] bool list_is_current();
  [[nodiscard]] Index* index_of(int root, const FileId& image);
  [[nodiscard]] Index build(int root) const;
  [[nodiscard]] bool leads_there(int root, std::size_t path, const FileId& image,
                                 const std::string* sure, Index& index);
  [[nodiscard]] bool still_leads_there(int root, const PathWay& way, const FileId& image,
                                       const std::string* sure) const;

  const PolicyPaths& paths_;
  Effort* effort_;
  PolicyPaths::List list_;
  Lru<Root, Index, RootHash> indices_;
};

}  // namespace warder::identity
