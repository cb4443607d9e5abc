#include "identity/netlink_messages.h"

#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <cstring>
#include <string>

namespace warder::identity {
namespace {

using Buffer = std::vector<std::byte>;

template <class Value>
void append(Buffer& to, const Value& value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  to.insert(to.end(), bytes, bytes + sizeof value);
  to.resize((to.size() + 3) / 4 * 4);
}

Buffer datagram(std::uint16_t type, std::uint32_t sequence, const Buffer& payload,
                std::uint16_t flags = 0) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = sequence;
  Buffer all;
  append(all, header);
  all.insert(all.end(), payload.begin(), payload.end());
  return all;
}

Buffer error(int number, std::uint32_t sequence = 7) {
  nlmsgerr body{};
  body.error = number;
  Buffer payload;
  append(payload, body);
  return datagram(NLMSG_ERROR, sequence, payload);
}

Buffer attribute(std::uint16_t type, const Buffer& value) {
  nlattr header{};
  header.nla_len = static_cast<std::uint16_t>(sizeof header + value.size());
  header.nla_type = type;
  Buffer all;
  append(all, header);
  all.insert(all.end(), value.begin(), value.end());
  all.resize((all.size() + 3) / 4 * 4);
  return all;
}

Buffer bytes(std::initializer_list<int> values) {
  Buffer all;
  for (const int value : values) all.push_back(static_cast<std::byte>(value));
  return all;
}

Buffer operator+(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inet_diag_msg diag_message() {
  inet_diag_msg body{};
  body.idiag_family = AF_INET;
  body.idiag_state = 1;
  body.id.idiag_sport = htons(43210);
  body.id.idiag_dport = htons(3128);
  body.id.idiag_src[0] = htonl(0x0ac80002);
  body.id.idiag_dst[0] = htonl(0x0ac80001);
  body.id.idiag_cookie[0] = 5;
  body.id.idiag_cookie[1] = 1;
  body.id.idiag_if = 3;
  body.idiag_uid = 1000;
  body.idiag_inode = 4711;
  return body;
}

Buffer tracked(int protocol = IPPROTO_TCP, std::size_t port_bytes = 2) {
  Buffer port(port_bytes, std::byte{80});
  const Buffer ip =
      attribute(CTA_TUPLE_IP | NLA_F_NESTED, attribute(CTA_IP_V4_SRC, bytes({10, 200, 0, 2})) +
                                                 attribute(CTA_IP_V4_DST, bytes({10, 96, 0, 10})));
  const Buffer ports = attribute(CTA_TUPLE_PROTO | NLA_F_NESTED,
                                 attribute(CTA_PROTO_NUM, bytes({protocol})) +
                                     attribute(CTA_PROTO_SRC_PORT, bytes({0xa8, 0xca})) +
                                     attribute(CTA_PROTO_DST_PORT, port));
  Buffer payload;
  append(payload, nfgenmsg{AF_INET, NFNETLINK_V0, 0});
  return payload + attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, ip + ports);
}

constexpr std::uint16_t kTracked = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;

Buffer link(int index) {
  ifinfomsg body{};
  body.ifi_index = index;
  Buffer payload;
  append(payload, body);
  return payload + attribute(IFLA_IFNAME, bytes({'l', 'o', 0}));
}

}  // namespace

TEST_CASE("what sock_diag says of a socket", "[identity]") {
  Buffer payload;
  append(payload, diag_message());
  const auto socket =
      parse_diag_reply(datagram(SOCK_DIAG_BY_FAMILY, 7, payload + attribute(9, bytes({1}))), 7);
  REQUIRE(socket);
  REQUIRE(*socket);
  CHECK((*socket)->local.text() == "10.200.0.2:43210");
  CHECK((*socket)->remote.text() == "10.200.0.1:3128");
  CHECK((*socket)->state == 1);
  CHECK((*socket)->inode == 4711);
  CHECK((*socket)->cookie == 0x100000005);
  CHECK((*socket)->uid == 1000);
  CHECK((*socket)->interface == 3);

  inet_diag_msg six = diag_message();
  six.idiag_family = AF_INET6;
  payload.clear();
  append(payload, six);
  const auto other = parse_diag_reply(datagram(SOCK_DIAG_BY_FAMILY, 7, payload), 7);
  REQUIRE(other);
  CHECK((**other).local.address.is_v6());
}

TEST_CASE("only ENOENT means that there is no socket", "[identity]") {
  const auto absent = parse_diag_reply(error(-ENOENT), 7);
  REQUIRE(absent);
  CHECK_FALSE(*absent);
  const auto refused = parse_diag_reply(error(-EPERM), 7);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::not_permitted);
  CHECK_FALSE(parse_diag_reply(error(0), 7));
  CHECK_FALSE(parse_diag_reply(error(2), 7));
  CHECK_FALSE(parse_diag_reply(error(-1000000), 7));
  CHECK_FALSE(parse_diag_reply(error(-ENOENT, 8), 7));
}

TEST_CASE("a reply that is cut, joined or of another kind is no answer", "[identity]") {
  Buffer payload;
  append(payload, diag_message());
  const Buffer whole = datagram(SOCK_DIAG_BY_FAMILY, 7, payload);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(parse_diag_reply(Bytes(whole).first(size), 7));
  for (std::size_t size = 0; size < payload.size(); size += 4) {
    const Buffer shorter(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(parse_diag_reply(datagram(SOCK_DIAG_BY_FAMILY, 7, shorter), 7));
  }
  CHECK_FALSE(parse_diag_reply(whole + whole, 7));
  CHECK_FALSE(parse_diag_reply(whole, 8));
  CHECK_FALSE(parse_diag_reply(datagram(SOCK_DIAG_BY_FAMILY + 1, 7, payload), 7));
  CHECK_FALSE(parse_diag_reply(datagram(NLMSG_DONE, 7, {}), 7));
  inet_diag_msg strange = diag_message();
  strange.idiag_family = AF_UNIX;
  payload.clear();
  append(payload, strange);
  CHECK_FALSE(parse_diag_reply(datagram(SOCK_DIAG_BY_FAMILY, 7, payload), 7));
  CHECK(sequence_of(whole) == 7U);
  CHECK_FALSE(sequence_of(Bytes(whole).first(10)));
}

TEST_CASE("what connection tracking says a client dialled", "[identity]") {
  const auto dialled = parse_conntrack_reply(datagram(kTracked, 7, tracked()), 7);
  REQUIRE(dialled);
  REQUIRE(*dialled);
  CHECK((*dialled)->local.text() == "10.200.0.2:43210");
  CHECK((*dialled)->remote.text() == "10.96.0.10:20560");
  const auto untracked = parse_conntrack_reply(error(-ENOENT), 7);
  REQUIRE(untracked);
  CHECK_FALSE(*untracked);
  CHECK_FALSE(parse_conntrack_reply(datagram(kTracked, 7, tracked(IPPROTO_UDP)), 7));
  CHECK_FALSE(parse_conntrack_reply(datagram(kTracked, 7, tracked(IPPROTO_TCP, 1)), 7));
  const Buffer payload = tracked();
  for (std::size_t size = 0; size < payload.size(); size += 4) {
    const Buffer shorter(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(parse_conntrack_reply(datagram(kTracked, 7, shorter), 7));
  }
}

TEST_CASE("the interfaces of a namespace, in several datagrams", "[identity]") {
  std::vector<std::uint32_t> indices;
  const auto one = parse_interfaces_reply(
      datagram(RTM_NEWLINK, 7, link(1), NLM_F_MULTI) + datagram(RTM_NEWLINK, 7, link(5)), 7,
      indices);
  REQUIRE(one);
  CHECK_FALSE(*one);
  const auto last =
      parse_interfaces_reply(datagram(NLMSG_DONE, 7, bytes({0, 0, 0, 0})), 7, indices);
  REQUIRE(last);
  CHECK(*last);
  CHECK(indices == std::vector<std::uint32_t>{1, 5});
  CHECK_FALSE(parse_interfaces_reply(datagram(RTM_NEWLINK, 8, link(1)), 7, indices));
  CHECK_FALSE(parse_interfaces_reply(datagram(RTM_NEWLINK, 7, link(0)), 7, indices));
  CHECK_FALSE(parse_interfaces_reply(datagram(RTM_NEWLINK, 7, link(-1)), 7, indices));
  CHECK_FALSE(parse_interfaces_reply(datagram(RTM_NEWLINK, 7, bytes({0, 0, 0, 0})), 7, indices));
  CHECK_FALSE(
      parse_interfaces_reply(datagram(RTM_NEWLINK, 7, link(1), NLM_F_DUMP_INTR), 7, indices));
  CHECK_FALSE(parse_interfaces_reply(error(-EPERM), 7, indices));
}

TEST_CASE("questions are whole messages, one after the other", "[identity]") {
  Buffer message;
  const auto end = [](const char* text) { return *net::Endpoint::parse(text); };
  put_diag_question(message, 7, end("[::ffff:10.0.0.1]:80"), end("10.0.0.2:81"), 3);
  REQUIRE(message.size() == sizeof(nlmsghdr) + sizeof(inet_diag_req_v2));
  inet_diag_req_v2 question{};
  std::memcpy(&question, message.data() + sizeof(nlmsghdr), sizeof question);
  CHECK(question.sdiag_family == AF_INET);
  CHECK(ntohl(question.id.idiag_src[0]) == 0x0a000001);
  CHECK(ntohs(question.id.idiag_dport) == 81);
  CHECK(question.id.idiag_if == 3);
  put_conntrack_question(message, 8, end("10.0.0.1:80"), end("10.0.0.2:81"));
  CHECK(message.size() % 4 == 0);
  CHECK(sequence_of(message) == 7U);
  CHECK(sequence_of(Bytes(message).subspan(sizeof(nlmsghdr) + sizeof question)) == 8U);
}

}  // namespace warder::identity
