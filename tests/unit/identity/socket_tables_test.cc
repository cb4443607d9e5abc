#include "identity/socket_tables.h"

#include <fcntl.h>

#include <catch2/catch_test_macros.hpp>
#include <set>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using Kind = ScopeFinding::Kind;

class Locals final : public LocalAddresses {
 public:
  std::set<std::string> local;
  bool fails = false;
  Result<bool> contains(const net::IpAddress& address) override {
    if (fails) return fail(from_errno(EPERM, "rtnetlink"));
    return local.contains(address.text());
  }
};

std::string hex(const net::Endpoint& endpoint) {
  std::string text;
  char buffer[9];
  for (std::size_t i = 0; i < endpoint.address.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, endpoint.address.bytes() + i, 4);
    std::snprintf(buffer, sizeof buffer, "%08X", word);
    text += buffer;
  }
  std::snprintf(buffer, sizeof buffer, ":%04X", endpoint.port);
  return text + buffer;
}

std::string row(std::string_view local, std::string_view remote, std::uint64_t inode,
                std::string_view state = "01") {
  return "   0: " + hex(*net::Endpoint::parse(local)) + " " + hex(*net::Endpoint::parse(remote)) +
         " " + std::string(state) + " 00000000:00000000 00:00000000 00000000  1000        0 " +
         std::to_string(inode) + " 1 0000000000000000 20 4 30 10 -1\n";
}

Connection connection(std::string_view client = "10.200.0.2:43210") {
  return {*net::Endpoint::parse(client), *net::Endpoint::parse("10.200.0.1:3128"), {}};
}

// A sandbox 469 in a namespace of its own, and the global scope.
struct Tables {
  testing::ProcTree tree;
  Locals locals;
  std::vector<net::Endpoint> aliases;
  net::UniqueFd root;
  std::vector<Sandbox> sandboxes;

  Tables() {
    tree.process(469, 1, 100, "/usr/bin/curl");
    tree.link("469/ns/net", "net:[2]");
    tree.link("self/ns/net", "net:[1]");
    tree.tables("469/net", "");
    tree.tables("net", "");
    root = std::move(*open_directory(AT_FDCWD, tree.root()));
    sandboxes.push_back(std::move(*Sandbox::open(root.get(), 469)));
  }
  Sighting find(const Connection& wanted = connection()) {
    SocketTables finder(root.get(), sandboxes, aliases, locals);
    return finder.find({&wanted, 1}).front();
  }
};

}  // namespace

TEST_CASE("the order of the scopes decides which one is named", "[identity]") {
  Tables tables;
  tables.tree.tables("469/net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  Sighting sighting = tables.find();
  REQUIRE(sighting.size() == 2);
  CHECK(sighting[0].kind == Kind::found);
  CHECK(text(sighting) == "pid:469: inode 4711; global: no entry in 0 rows");
  CHECK(judge(sighting).scopes.front().name() == "pid:469");

  tables.tree.tables("469/net", row("10.200.0.2:43211", "10.200.0.1:3128", 4710));
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  sighting = tables.find();
  CHECK(text(sighting) == "pid:469: no entry in 1 rows; global: inode 4711");
  CHECK(judge(sighting).scopes.front().name() == "global");
  CHECK(judge(sighting).first_inode == 4711);
}

TEST_CASE("only the whole tuple counts", "[identity]") {
  Tables tables;
  tables.tree.tables("net",
                     row("10.200.0.3:43210", "10.200.0.1:3128", 1) +      // another client
                         row("10.200.0.2:43211", "10.200.0.1:3128", 2) +  // another port
                         row("10.200.0.2:43210", "10.200.0.9:3128", 3) +  // another place
                         row("10.200.0.2:43210", "10.200.0.1:3129", 4) +
                         row("10.200.0.1:3128", "10.200.0.2:43210", 5) +  // the proxy's own end
                         row("10.200.0.2:43210", "10.200.0.1:3128", 6, "0A"));  // a listener
  const Sighting sighting = tables.find();
  CHECK(text(sighting) == "pid:469: no entry in 0 rows; global: no entry in 6 rows");
  CHECK(judge(sighting).sockets.empty());
  CHECK_FALSE(judge(sighting).unreadable);
}

TEST_CASE("mapped addresses match on either side, and any state", "[identity]") {
  Tables tables;
  tables.tree.tables("net", "",
                     row("[::ffff:10.200.0.2]:43210", "[::ffff:10.200.0.1]:3128", 4711, "05"));
  CHECK(judge(tables.find()).first_inode == 4711);
  CHECK(judge(tables.find(connection("[::ffff:10.200.0.2]:43210"))).first_inode == 4711);
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4712, "08"));
  CHECK(judge(tables.find(connection("[::ffff:10.200.0.2]:43210"))).first_inode == 4712);
}

TEST_CASE("the client may have dialled another address", "[identity]") {
  Tables tables;
  tables.tree.tables("net", row("10.200.0.2:43210", "192.0.2.7:443", 4711));
  CHECK(judge(tables.find()).sockets.empty());
  Connection redirected = connection();
  redirected.original_destination = net::Endpoint::parse("192.0.2.7:443");
  CHECK(judge(tables.find(redirected)).first_inode == 4711);
  redirected.original_destination = net::Endpoint::parse("192.0.2.7:444");
  CHECK(judge(tables.find(redirected)).sockets.empty());
  tables.aliases.push_back(*net::Endpoint::parse("192.0.2.7:443"));
  CHECK(judge(tables.find()).first_inode == 4711);
}

TEST_CASE("a closed socket ends the search", "[identity]") {
  Tables tables;
  tables.tree.tables("469/net", row("10.200.0.2:43210", "10.200.0.1:3128", 0, "06"));
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  const Sighting sighting = tables.find();
  CHECK(text(sighting) == "pid:469: inode 0: closed by its owner");
  CHECK(judge(sighting).closed);

  // Found first elsewhere, it may be the planted one that was found.
  tables.tree.tables("469/net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 0));
  CHECK(judge(tables.find()).closed);
}

TEST_CASE("two sockets in two scopes, and the same one in both", "[identity]") {
  Tables tables;
  const std::string first = row("10.200.0.2:43210", "10.200.0.1:3128", 4711);
  tables.tree.tables("469/net", first);
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4700));
  CHECK(judge(tables.find()).sockets == std::vector<FoundSocket>{{4700, 0}, {4711, 0}});
  CHECK(judge(tables.find()).first_inode == 4711);
  tables.tree.tables("net", first);
  CHECK(judge(tables.find()).sockets == std::vector<FoundSocket>{{4711, 0}});
}

TEST_CASE("an address of our own is not believed of another namespace", "[identity]") {
  Tables tables;
  tables.tree.tables("469/net", row("127.0.0.1:43210", "10.200.0.1:3128", 4711));
  tables.locals.local.insert("127.0.0.1");
  Sighting sighting = tables.find(connection("127.0.0.1:43210"));
  CHECK(sighting[0].kind == Kind::skipped);
  CHECK(text(sighting) ==
        "pid:469: not searched: 127.0.0.1 is an address of the proxy's own network namespace; "
        "global: no entry in 0 rows");
  CHECK(judge(tables.find(connection("[::ffff:127.0.0.1]:43210"))).sockets.empty());

  // The same namespace as ours: the same table.
  tables.tree.link("469/ns/net", "net:[1]");
  tables.tree.tables("net", row("127.0.0.1:43210", "10.200.0.1:3128", 4711));
  sighting = tables.find(connection("127.0.0.1:43210"));
  CHECK(text(sighting) == "pid:469: inode 4711; global: inode 4711");
  CHECK(judge(sighting).sockets.size() == 1);
}

TEST_CASE("where it can't be told whose address it is, no sandbox is believed", "[identity]") {
  Tables tables;
  tables.tree.tables("469/net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  tables.locals.fails = true;
  const Sighting sighting = tables.find();
  CHECK(sighting[0].kind == Kind::skipped);
  CHECK(judge(sighting).sockets.empty());
}

TEST_CASE("a scope that can't be read says so, and the search goes on", "[identity]") {
  Tables tables;
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  SECTION("no table") { tables.tree.remove("469/net"); }
  SECTION("empty table") { tables.tree.write("469/net/tcp", ""); }
  SECTION("malformed row") { tables.tree.tables("469/net", "   0: nonsense\n"); }
  SECTION("a row that never ends") { tables.tree.tables("469/net", std::string(100000, 'x')); }
  SECTION("a row that is cut") {
    std::string cut = row("10.200.0.2:43211", "10.200.0.1:3128", 4711);
    tables.tree.tables("469/net", cut.substr(0, cut.find("4711") + 2));
  }
  SECTION("another process") { tables.tree.process(469, 1, 101, "/usr/bin/curl"); }
  SECTION("a zombie") { tables.tree.write("469/stat", testing::stat_line(469, "x", 'Z', 1, 100)); }
  SECTION("gone") { tables.tree.remove("469/stat"); }
  const Sighting sighting = tables.find();
  INFO(text(sighting));
  REQUIRE(sighting.size() == 2);
  CHECK(sighting[0].kind == Kind::unreadable);
  CHECK(judge(sighting).unreadable);
  CHECK(judge(sighting).first_inode == 4711);
}

TEST_CASE("a kernel without IPv6 has one table", "[identity]") {
  Tables tables;
  tables.tree.tables("net", row("10.200.0.2:43210", "10.200.0.1:3128", 4711));
  tables.tree.remove("net/tcp6");
  CHECK(judge(tables.find()).first_inode == 4711);
}

TEST_CASE("a sandbox that isn't there is an error at the start", "[identity]") {
  Tables tables;
  const auto sandbox = Sandbox::open(tables.root.get(), 470);
  REQUIRE_FALSE(sandbox);
  CHECK(sandbox.error().code == Errc::not_found);
}

TEST_CASE("what a directory could not tell is not said of the next one with its number",
          "[identity]") {
  const testing::ProcTree tree;
  tree.directory("500");
  tree.tables("600/net", "");
  Question question;
  question.client = *net::Endpoint::parse("10.200.0.2:43210");
  question.proxy = *net::Endpoint::parse("10.200.0.1:3128");
  question.ends = {{question.client, question.proxy}};
  TableReader reader;
  reader.begin({&question, 1});
  const auto ask = [&](int directory) {
    Place place;
    place.directory = directory;
    ScopeFinding finding;
    reader.ask(place, 0, finding);
    return finding.kind;
  };
  auto gone = open_directory(AT_FDCWD, tree.path("500"));
  REQUIRE(gone);
  const int number = gone->get();
  CHECK(ask(number) == ScopeFinding::Kind::unreadable);
  gone->reset();
  const auto next = open_directory(AT_FDCWD, tree.path("600"));
  REQUIRE(next);
  REQUIRE(next->get() == number);
  reader.directories_changed();
  CHECK(ask(number) == ScopeFinding::Kind::absent);
}

}  // namespace warder::identity
