#include "load.h"

#include <dirent.h>

#include <algorithm>
#include <fstream>
#include <memory>

namespace warder::bench {
namespace {

// A process may have 20,000 descriptors here, and needs some for itself.
constexpr std::size_t kFilesEach = 18'000;
constexpr std::size_t kPairsEach = 9'000;

template <class Visit>
void list(const std::string& path, Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return;
  while (const dirent* const entry = ::readdir(directory.get()))
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') visit(entry->d_name);
}

std::size_t rows(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::size_t count = 0;
  while (std::getline(file, line)) ++count;
  return count > 0 ? count - 1 : 0;
}

}  // namespace

HostCount count_host() {
  HostCount count;
  count.sockets = rows("/proc/self/net/tcp") + rows("/proc/self/net/tcp6");
  list("/proc", [&](const std::string& pid) {
    ++count.processes;
    list("/proc/" + pid + "/fd", [&](const char*) { ++count.files; });
  });
  return count;
}

Result<Load> Load::make(const std::string& program, const LoadTarget& target) {
  Load load;
  const auto add = [&](const char* role, std::size_t number) -> Result<void> {
    auto child = Child::start(program, {role, std::to_string(number)});
    if (!child) return fail(std::move(child.error()));
    load.children_.push_back(std::move(*child));
    return {};
  };
  // Sockets are open files too, and whatever holds them are processes: so in this order.
  for (auto have = count_host(); have.sockets + 3 <= target.sockets; have = count_host()) {
    const auto pairs = std::min((target.sockets - have.sockets - 1) / 2, kPairsEach);
    if (auto done = add("hold-sockets", pairs); !done) return fail(std::move(done.error()));
  }
  for (auto have = count_host(); have.files + 4 < target.files; have = count_host()) {
    const auto number = std::min(target.files - have.files - 3, kFilesEach);
    if (auto done = add("hold-files", number); !done) return fail(std::move(done.error()));
  }
  const auto have = count_host();
  if (have.processes + 1 < target.processes) {
    const auto number = target.processes - have.processes - 1;
    if (auto done = add("hold-processes", number); !done) return fail(std::move(done.error()));
  }
  return load;
}

}  // namespace warder::bench
