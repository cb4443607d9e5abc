#include "identity/path_names.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::chrono::seconds kNamesAge{1};
// How much of the time may go into looking all paths up, for each root: one part in so many.
constexpr int kShareOfAge = 100;   // because they are old
constexpr int kShareOfImage = 10;  // because an image is new
constexpr std::size_t kMostNameless = 4096;

// Whether another link in the place of one of these would look different.
bool is_settled(const PathWay& way) {
  return std::none_of(way.links.begin(), way.links.end(),
                      [](const PathWay::Link& link) { return changed_just_now(link.state); });
}

}  // namespace

std::size_t PathNames::FileIdHash::operator()(const FileId& file) const {
  return std::hash<std::uint64_t>{}(file.inode ^ (file.device << 40U));
}

std::size_t PathNames::RootHash::operator()(const Root& root) const {
  return FileIdHash{}(root.directory) ^ std::hash<std::uint64_t>{}(root.mount << 20U);
}

std::vector<std::string> PathNames::of(int root, const FileId& image, const std::string* sure) {
  std::vector<std::string> names;
  if (!list_is_current() || list_.paths.empty()) return names;
  Index* const index = index_of(root, image);
  if (index == nullptr) return names;
  const auto found = index->paths.find(image);
  if (found == index->paths.end()) return names;
  for (const std::size_t path : found->second)
    if (leads_there(root, path, image, sure, *index)) names.push_back(list_.paths[path]);
  return names;
}

bool PathNames::list_is_current() {
  if (list_.generation == paths_.generation()) return true;
  if (!may_wait(effort_)) return false;
  list_ = paths_.list();
  indices_.clear();
  return true;
}

// nullptr: it can't be told now.
PathNames::Index* PathNames::index_of(int root, const FileId& image) {
  struct statx info {};
  if (::statx(root, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &info) != 0)
    return nullptr;
  const Root key{{makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino}, info.stx_mnt_id};
  Index* index = indices_.find(key);
  const auto now = Clock::now();
  const bool known =
      index != nullptr && (index->paths.contains(image) || index->nameless.contains(image));
  const bool old =
      index == nullptr ||
      now - index->built > std::max<Clock::duration>(kNamesAge, index->cost * kShareOfAge);
  if (known && !old) return index;
  if (!may_wait(effort_)) return nullptr;
  const bool again = old || now - index->built > index->cost * kShareOfImage;
  if (again) index = &indices_.put(key, build(root));
  if (again && !index->paths.contains(image)) {
    if (index->nameless.size() >= kMostNameless) index->nameless.clear();
    index->nameless.insert(image);
  }
  return index;
}

PathNames::Index PathNames::build(int root) const {
  Index index;
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < list_.paths.size(); ++i) {
    const auto file = file_id_in_root(root, list_.paths[i], PathLookup::whole, Links::followed);
    if (file) index.paths[*file].push_back(i);
  }
  index.built = Clock::now();
  index.cost = index.built - begin;
  return index;
}

bool PathNames::leads_there(int root, std::size_t path, const FileId& image,
                            const std::string* sure, Index& index) {
  const auto way = index.ways.find(path);
  if (way != index.ways.end() && still_leads_there(root, way->second, image, sure)) return true;
  if (!may_wait(effort_)) return false;
  index.ways.erase(path);
  const std::string& text = list_.paths[path];
  auto now = follow_path(root, text);
  const auto file = file_id_in_root(root, text, PathLookup::whole, Links::followed);
  if (!file || *file != image) {
    index.built = {};  // the others may have changed with it
    return false;
  }
  if (now && now->state.id == image && is_settled(*now)) index.ways.emplace(path, std::move(*now));
  return true;
}

// A symbolic link that is the same file has the same target.
bool PathNames::still_leads_there(int root, const PathWay& way, const FileId& image,
                                  const std::string* sure) const {
  const auto lookup = at_once(effort_) ? PathLookup::cached : PathLookup::whole;
  const bool same_links =
      std::all_of(way.links.begin(), way.links.end(), [&](const PathWay::Link& link) {
        const auto fd = open_in_root(root, link.at, lookup, Links::last_kept);
        if (!fd) return false;
        const auto state = file_state(fd->get(), "", AT_EMPTY_PATH, link.at.c_str());
        return state && *state == link.state;
      });
  if (!same_links) return false;
  if (sure != nullptr && way.file == *sure) return true;
  const auto file = file_id_in_root(root, way.file, lookup);
  return file && *file == image;
}

}  // namespace warder::identity
