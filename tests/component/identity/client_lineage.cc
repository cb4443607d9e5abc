#include "tests/component/identity/client_lineage.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace warder::testing {
namespace {

struct Region {
  std::uintptr_t begin, end;
  int protection;
};

// Our own program's file, as it is mapped.
std::vector<Region> mapped_image() {
  std::array<char, 4096> link{};
  const ssize_t size = ::readlink("/proc/self/exe", link.data(), link.size());
  const std::string image(link.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  std::vector<Region> regions;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (image.empty() || !line.ends_with(" " + image)) continue;
    Region region{};
    char dash = 0;
    std::string rights;
    std::istringstream(line) >> std::hex >> region.begin >> dash >> region.end >> rights;
    region.protection = (rights[0] == 'r' ? PROT_READ : 0) | (rights[1] == 'w' ? PROT_WRITE : 0) |
                        (rights[2] == 'x' ? PROT_EXEC : 0);
    regions.push_back(region);
  }
  return regions;
}

// The same bytes at the same place, of no file any more: as long as one is mapped the kernel keeps
// it as the image (kernel/fork.c, replace_mm_exe_file). Nothing may be allocated meanwhile, and no
// sanitizer may look: it would be its own memory.
__attribute__((no_sanitize("address", "thread", "undefined"), noinline)) bool copy_over(
    const Region* regions, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const Region& region = regions[i];
    const std::size_t size = region.end - region.begin;
    const auto copy =
        ::syscall(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == -1) return false;
    auto* const to = reinterpret_cast<volatile std::uint64_t*>(copy);
    const auto* const from = reinterpret_cast<const volatile std::uint64_t*>(region.begin);
    for (std::size_t word = 0; word < size / sizeof *to; ++word) to[word] = from[word];
    if (::syscall(SYS_mprotect, copy, size, region.protection) != 0 ||
        ::syscall(SYS_mremap, copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, region.begin) == -1)
      return false;
  }
  return true;
}

// proc(5), /proc/<pid>/stat: fields from the third.
std::vector<std::uint64_t> stat_fields() {
  std::string text;
  std::getline(std::ifstream("/proc/self/stat"), text);
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  std::vector<std::uint64_t> fields{0, 0, 0};
  std::string state;
  rest >> state;
  for (std::string field; rest >> field;)
    fields.push_back(std::strtoull(field.c_str(), nullptr, 10));
  return fields;
}

prctl_mm_map current_map(int exe) {
  const auto fields = stat_fields();
  const auto field = [&](std::size_t number) { return fields.at(number - 1); };
  prctl_mm_map map{};
  map.start_code = field(26);
  map.end_code = field(27);
  map.start_stack = field(28);
  map.start_data = field(45);
  map.end_data = field(46);
  map.start_brk = field(47);
  map.brk = static_cast<std::uint64_t>(::syscall(SYS_brk, 0));
  map.arg_start = field(48);
  map.arg_end = field(49);
  map.env_start = field(50);
  map.env_end = field(51);
  map.exe_fd = static_cast<std::uint32_t>(exe);
  return map;
}

}  // namespace

bool leave_orphan(const std::string& program, int fd) {
  ::fcntl(fd, F_SETFD, 0);
  const std::string command = "'" + program + "' idle " + std::to_string(fd) + " > /dev/null &";
  return std::system(command.c_str()) == 0;
}

bool make_sibling(const std::string& program, int fd) {
  ::fcntl(fd, F_SETFD, 0);
  const std::string number = std::to_string(fd);
  std::array<int, 2> started{};
  if (::pipe2(started.data(), O_CLOEXEC) != 0) return false;
  const auto child = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    ::execl(program.c_str(), program.c_str(), "idle", number.c_str(), nullptr);
    ::_exit(1);
  }
  ::close(started[1]);
  char byte = 0;
  while (::read(started[0], &byte, 1) < 0 && errno == EINTR) continue;
  ::close(started[0]);
  return child > 0;
}

bool set_image(const std::string& program) {
  const int exe = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
  const auto regions = mapped_image();
  if (exe < 0 || regions.empty()) return false;
  const prctl_mm_map map = current_map(exe);
  return ::unshare(CLONE_NEWUSER) == 0 && copy_over(regions.data(), regions.size()) &&
         ::syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

}  // namespace warder::testing
