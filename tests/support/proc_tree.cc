#include "tests/support/proc_tree.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>

namespace warder::testing {
namespace {

constexpr std::string_view kHeading =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";

}  // namespace

ProcTree::ProcTree() {
  std::string name = (std::filesystem::temp_directory_path() / "warder-proc-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  root_ = std::filesystem::canonical(name).string();
}

ProcTree::~ProcTree() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

void ProcTree::write(const std::string& below, std::string_view text) const {
  remove(below);
  std::filesystem::create_directories(std::filesystem::path(path(below)).parent_path());
  std::ofstream file(path(below), std::ios::binary);
  file << text;
  REQUIRE(file.good());
}

void ProcTree::link(const std::string& below, const std::string& target) const {
  remove(below);
  std::filesystem::create_directories(std::filesystem::path(path(below)).parent_path());
  std::filesystem::create_symlink(target, path(below));
}

void ProcTree::directory(const std::string& below) const {
  std::filesystem::create_directories(path(below));
}

void ProcTree::remove(const std::string& below) const { std::filesystem::remove_all(path(below)); }

void ProcTree::process(pid_t pid, pid_t parent, std::uint64_t start_time,
                       const std::string& exe) const {
  const std::string number = std::to_string(pid);
  const std::string thread = number + "/task/" + number;
  write(number + "/stat", stat_line(pid, "name", 'S', parent, start_time));
  write(thread + "/status",
        "Name:\tname\nUid:\t999\t1000\t999\t1000\nGid:\t999\t1001\t999\t1001\n");
  link(number + "/exe", exe);
  link(thread + "/exe", exe);
  directory(thread + "/fd");
}

void ProcTree::tables(const std::string& at, std::string_view tcp, std::string_view tcp6) const {
  write(at + "/tcp", std::string(kHeading) + std::string(tcp));
  write(at + "/tcp6", std::string(kHeading) + std::string(tcp6));
}

std::string stat_line(pid_t pid, std::string_view name, char state, pid_t parent,
                      std::uint64_t start_time) {
  return std::to_string(pid) + " (" + std::string(name) + ") " + state + " " +
         std::to_string(parent) + " 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " +
         std::to_string(start_time) + " 1000 200\n";
}

}  // namespace warder::testing
