#include "identity/proc_files.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

// As the kernel prints it, on a little-endian machine.
const std::string kRow =
    "   1: 0200C80A:A8CA 0100C80A:0C38 01 00000000:00000000 00:00000000 00000000  1000        0 "
    "4711 1 0000000000000000 20 4 30 10 -1";
const std::string kRow6 =
    "   0: 0000000000000000FFFF00000200C80A:A8CA B80D0120000000000000000001000000:0C38 08 "
    "00000000:00000000 02:000005D4 00000000     0        0 18446744073709551615 2 0 21 4 0 10 -1";

}  // namespace

TEST_CASE("a row of the tcp table", "[identity]") {
  const auto row = parse_socket_row(kRow);
  REQUIRE(row);
  CHECK(row->local.text() == "10.200.0.2:43210");
  CHECK(row->remote.text() == "10.200.0.1:3128");
  CHECK(row->state == 1);
  CHECK(row->inode == 4711);
}

TEST_CASE("a row of the tcp6 table", "[identity]") {
  const auto row = parse_socket_row(kRow6);
  REQUIRE(row);
  CHECK(row->local.unmapped().text() == "10.200.0.2:43210");
  CHECK(row->remote.text() == "[2001:db8::1]:3128");
  CHECK(row->state == 8);
  CHECK(row->inode == 18446744073709551615U);
}

TEST_CASE("what is not a row is refused, whatever part of one it is", "[identity]") {
  CHECK_FALSE(parse_socket_row("  sl  local_address rem_address   st tx_queue rx_queue tr"));
  CHECK_FALSE(parse_socket_row(""));
  CHECK_FALSE(parse_socket_row(std::string(4096, ' ')));
  CHECK_FALSE(parse_socket_row(std::string("\0\0\0\0", 4)));
  const std::size_t inode_end = kRow.find("4711") + 4;
  for (std::size_t size = 0; size < inode_end - 3; ++size)
    CHECK_FALSE(parse_socket_row(kRow.substr(0, size)));
  const auto with = [](std::string_view what, std::string_view instead) {
    std::string text = kRow;
    text.replace(text.find(what), what.size(), instead);
    return parse_socket_row(text);
  };
  REQUIRE(with("4711", "0"));
  CHECK_FALSE(with("4711", "-1"));
  CHECK_FALSE(with("4711", "+1"));
  CHECK_FALSE(with("4711", "4711x"));
  CHECK_FALSE(with("4711", "18446744073709551616"));
  CHECK_FALSE(with("A8CA", "A8CAB"));
  CHECK_FALSE(with("A8CA", "8CA"));
  CHECK_FALSE(with("A8CA", "-8CA"));
  CHECK_FALSE(with("0200C80A", "0200C80"));
  CHECK_FALSE(with("0200C80A", "0200C80G"));
  CHECK_FALSE(with("0200C80A", "-200C80A"));
  CHECK_FALSE(with("0200C80A:", "0200C80A"));
  CHECK_FALSE(with("0200C80A", "0000000000000000FFFF00000200C80A"));
  CHECK_FALSE(with(" 01 ", " 101 "));
}

TEST_CASE("a process's name can't make up fields of its stat", "[identity]") {
  const auto plain = parse_stat(testing::stat_line(7, "curl", 'S', 3, 81234));
  REQUIRE(plain);
  CHECK(plain->parent == 3);
  CHECK(plain->state == 'S');
  CHECK(plain->threads == 1);
  CHECK(plain->start_time == 81234);
  for (const char* const name : {") S 1 1 1", "a b", "(((", "))))", "x\n7 (y) S 1", ""}) {
    const auto stat = parse_stat(testing::stat_line(7, name, 'R', 3, 81234));
    REQUIRE(stat);
    CHECK(stat->parent == 3);
    CHECK(stat->start_time == 81234);
  }
}

TEST_CASE("a cut or broken stat is refused", "[identity]") {
  const std::string line = testing::stat_line(7, "curl", 'S', 3, 81234);
  for (std::size_t size = 0; size < line.find("81234") + 1; ++size)
    CHECK_FALSE(parse_stat(line.substr(0, size)));
  CHECK_FALSE(parse_stat("7 (curl) S -3 1 1 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 99 1"));
  CHECK_FALSE(parse_stat("7 (curl) SS 3 1 1 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 99 1"));
  CHECK_FALSE(parse_stat("7 (curl) S 3 1 1 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 -9 1"));
}

TEST_CASE("a status", "[identity]") {
  const auto status = parse_status(
      "Name:\tcurl\nUmask:\t0022\nTgid:\t71\nTracerPid:\t12\nUid:\t998\t0\t1\t2\n"
      "Gid:\t4294967295\t4\t5\t6\nGroups:\t4 27 1000 \nNSpid:\t71\t5\nCapPrm:\t00000000000000c0\n"
      "CapEff:\t0000000000000001\n");
  REQUIRE(status);
  CHECK(status->uids == std::array<uid_t, 4>{998, 0, 1, 2});
  CHECK(status->gids == std::array<gid_t, 4>{4294967295U, 4, 5, 6});
  CHECK(status->groups == std::vector<gid_t>{4, 27, 1000});
  CHECK(status->tracer == 12);
  CHECK(status->capabilities == 0xc0);
  CHECK(status->numbers == std::vector<pid_t>{71, 5});
  // The kernel escapes newlines in the name, so that this is all the name's.
  const auto odd = parse_status("Name:\tUid:\t0\\nUid:\t0\nUid:\t7\t7\t7\t7\nGid:\t1\t1\t1\t1");
  REQUIRE(odd);
  CHECK(odd->uids[1] == 7);
  CHECK(odd->groups.empty());
  CHECK(odd->tracer == 0);
}

TEST_CASE("a cut or broken status is refused", "[identity]") {
  const std::string good = "Uid:\t1\t2\t3\t4\nGid:\t1\t2\t3\t4\n";
  REQUIRE(parse_status(good));
  for (std::size_t size = 0; size < good.size() - 2; ++size)
    CHECK_FALSE(parse_status(good.substr(0, size)));
  for (const char* const line :
       {"Uid:\t-1\t0\t0\t0", "Uid:\t4294967296\t0\t0\t0", "Uid:\t1\t2\t3\t4\t5", "Groups:\t1 x",
        "TracerPid:\t", "TracerPid:\t-1", "TracerPid:\t1 2", "NSpid:\t1\t-", "CapPrm:\tnone"})
    CHECK_FALSE(parse_status(good + line + "\n"));
}

TEST_CASE("single lines of status files", "[identity]") {
  CHECK(parse_status_tracer("Name:\tTracerPid:\t4\nTracerPid:\t0\n") == 0);
  CHECK(parse_status_tracer("TracerPid:\t71") == 71);
  CHECK_FALSE(parse_status_tracer("TracerPid:\t"));
  CHECK_FALSE(parse_status_tracer(""));
  CHECK(parse_fdinfo_pid("pos:\t0\nflags:\t02000002\nPid:\t71\nNSpid:\t71\n") == 71);
  CHECK_FALSE(parse_fdinfo_pid("pos:\t0\nPid:\t0\n"));
  CHECK_FALSE(parse_fdinfo_pid("pos:\t0\nPid:\t-1\n"));
  CHECK_FALSE(parse_fdinfo_pid("pos:\t0\n"));
}

TEST_CASE("a pidfile holds a number and nothing else", "[identity]") {
  CHECK(parse_pidfile("71") == 71);
  CHECK(parse_pidfile("71\n") == 71);
  for (const char* const text :
       {"", "\n", "71\n\n", " 71", "71 ", "71 72", "0", "-71", "071", "71\r\n", "99999999999"})
    CHECK_FALSE(parse_pidfile(text));
}

TEST_CASE("effective capabilities", "[identity]") {
  CHECK(parse_status_capabilities("CapPrm:\tff\nCapEff:\t000001fffeffffff\n") == 0x1fffeffffffU);
  CHECK_FALSE(parse_status_capabilities("CapPrm:\tff\n"));
  CHECK_FALSE(parse_status_capabilities("CapEff:\tnone\n"));
}

TEST_CASE("links to sockets and namespaces", "[identity]") {
  CHECK(parse_inode_link("socket:[4711]", "socket") == 4711);
  CHECK(parse_inode_link("net:[4026531840]", "net") == 4026531840);
  for (const char* const target :
       {"", "socket:", "socket:[", "socket:[]", "socket:[-1]", "socket:[ 1]", "socket:[1",
        "socket:1]", "socket:[1] (deleted)", "/tmp/socket:[4711]", "pipe:[4711]",
        "socket:[18446744073709551616]"})
    CHECK_FALSE(parse_inode_link(target, "socket"));
}

TEST_CASE("process ids are plain decimal numbers", "[identity]") {
  CHECK(parse_pid("1") == 1);
  CHECK(parse_pid("4194304") == 4194304);
  for (const char* const name :
       {"", "0", "01", "-1", "+1", " 1", "1 ", "self", "1a", "99999999999"})
    CHECK_FALSE(parse_pid(name));
}

}  // namespace warder::identity
