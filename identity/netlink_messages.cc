#include "identity/netlink_messages.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace warder::identity {
namespace {

constexpr std::uint32_t kAllStates = ~0U;
constexpr std::size_t kTypeMask = 0x3fff;  // NLA_TYPE_MASK, without its sign
constexpr std::size_t kQuestionRoom = 256;

// Messages and attributes begin at multiples of 4 (NLMSG_ALIGNTO, NLA_ALIGNTO).
constexpr std::size_t aligned(std::size_t length) { return (length + 3) / 4 * 4; }

// Room for one message at the end of others; nlmsg_len of each is a multiple of 4 here.
class Builder {
 public:
  Builder(std::vector<std::byte>& message, std::uint16_t type, std::uint16_t flags,
          std::uint32_t sequence)
      : message_(message), at_(message.size()) {
    message_.resize(at_ + kQuestionRoom);
    header_ = mnl_nlmsg_put_header(message_.data() + at_);
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header_->nlmsg_seq = sequence;
  }
  ~Builder() { message_.resize(at_ + aligned(header_->nlmsg_len)); }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  [[nodiscard]] nlmsghdr* header() const { return header_; }
  template <class Extra>
  void put(const Extra& extra) {
    std::memcpy(mnl_nlmsg_put_extra_header(header_, sizeof extra), &extra, sizeof extra);
  }

 private:
  std::vector<std::byte>& message_;
  std::size_t at_;
  nlmsghdr* header_;
};

tl::unexpected<Error> malformed(const char* what) {
  return fail(Errc::system, std::string("netlink: ") + what);
}

// A message whose header lies wholly within the datagram.
struct Message {
  nlmsghdr header{};
  Bytes payload;
};

// Takes the first message off `rest`.
Result<Message> take(Bytes& rest) {
  Message message;
  if (rest.size() < sizeof message.header) return malformed("a message is cut");
  std::memcpy(&message.header, rest.data(), sizeof message.header);
  const std::size_t length = message.header.nlmsg_len;
  if (length < sizeof message.header || length > rest.size()) return malformed("a wrong length");
  message.payload = rest.subspan(sizeof message.header, length - sizeof message.header);
  rest = rest.subspan(std::min(aligned(length), rest.size()));
  return message;
}

// The kernel's `struct nlmsgerr` begins with an int; 0 is an acknowledgement.
Result<int> error_number(Bytes payload) {
  int number = 0;
  if (payload.size() < sizeof number) return malformed("an error is cut");
  std::memcpy(&number, payload.data(), sizeof number);
  if (number > 0 || number < -4095) return malformed("an error is out of range");
  return -number;
}

// The one message of a datagram that answers `sequence` with `type`. nullopt: ENOENT.
Result<std::optional<Bytes>> only_answer(Bytes datagram, std::uint32_t sequence,
                                         std::uint16_t type) {
  const auto message = take(datagram);
  if (!message) return fail(message.error());
  if (!datagram.empty()) return malformed("more than one answer");
  if (message->header.nlmsg_seq != sequence) return malformed("an answer to another question");
  if (message->header.nlmsg_type == NLMSG_ERROR) {
    const auto number = error_number(message->payload);
    if (!number) return fail(number.error());
    if (*number == ENOENT) return std::nullopt;
    if (*number == 0) return malformed("an acknowledgement instead of an answer");
    return fail(from_errno(*number, "netlink"));
  }
  if (message->header.nlmsg_type != type) return malformed("an answer of another type");
  return message->payload;
}

net::IpAddress address_from(const void* bytes, bool v4) {
  if (v4) {
    std::array<std::uint8_t, 4> four{};
    std::memcpy(four.data(), bytes, four.size());
    return net::IpAddress::v4(four);
  }
  std::array<std::uint8_t, 16> sixteen{};
  std::memcpy(sixteen.data(), bytes, sixteen.size());
  return net::IpAddress::v6(sixteen);
}

// The attributes of `payload` by type, the last of each; nullopt when one is cut. Types are those
// of the kernel without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
template <std::size_t kTypes>
std::optional<std::array<Bytes, kTypes>> attributes(Bytes payload) {
  std::array<Bytes, kTypes> found{};
  while (!payload.empty()) {
    nlattr attribute{};
    if (payload.size() < sizeof attribute) return std::nullopt;
    std::memcpy(&attribute, payload.data(), sizeof attribute);
    const std::size_t length = attribute.nla_len;
    if (length < sizeof attribute || length > payload.size()) return std::nullopt;
    const std::size_t type = attribute.nla_type & kTypeMask;
    if (type < kTypes) found[type] = payload.subspan(sizeof attribute, length - sizeof attribute);
    payload = payload.subspan(std::min(aligned(length), payload.size()));
  }
  return found;
}

std::optional<std::uint16_t> port_from(Bytes value) {
  std::uint16_t port = 0;
  if (value.size() != sizeof port) return std::nullopt;
  std::memcpy(&port, value.data(), sizeof port);
  return ntohs(port);
}

// nfnetlink_conntrack.h: CTA_TUPLE_IP and CTA_TUPLE_PROTO of a CTA_TUPLE_*.
std::optional<SocketEnds> tuple_from(Bytes value) {
  const auto tuple = attributes<CTA_TUPLE_MAX + 1>(value);
  if (!tuple) return std::nullopt;
  const auto ip = attributes<CTA_IP_MAX + 1>((*tuple)[CTA_TUPLE_IP]);
  const auto protocol = attributes<CTA_PROTO_MAX + 1>((*tuple)[CTA_TUPLE_PROTO]);
  if (!ip || !protocol) return std::nullopt;
  const Bytes number = (*protocol)[CTA_PROTO_NUM];
  if (number.size() != 1 || number.front() != std::byte{IPPROTO_TCP}) return std::nullopt;
  const auto source_port = port_from((*protocol)[CTA_PROTO_SRC_PORT]);
  const auto port = port_from((*protocol)[CTA_PROTO_DST_PORT]);
  const bool v4 = !(*ip)[CTA_IP_V4_SRC].empty();
  const Bytes source = (*ip)[v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC];
  const Bytes destination = (*ip)[v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST];
  const std::size_t size = v4 ? 4 : 16;
  if (!source_port || !port || source.size() != size || destination.size() != size)
    return std::nullopt;
  return SocketEnds{{address_from(source.data(), v4), *source_port},
                    {address_from(destination.data(), v4), *port}};
}

}  // namespace

void put_diag_question(std::vector<std::byte>& message, std::uint32_t sequence,
                       const net::Endpoint& local, const net::Endpoint& remote,
                       std::uint32_t interface) {
  // A question for IPv4 finds an IPv6 socket with mapped addresses too: both are in one hash chain
  // (inet_diag_find_one_icsk in net/ipv4/inet_diag.c, sk_ehashfn in net/ipv4/inet_hashtables.c).
  const net::Endpoint from = local.unmapped();
  const net::Endpoint to = remote.unmapped();
  inet_diag_req_v2 question{};
  question.sdiag_family = static_cast<std::uint8_t>(from.address.is_v4() ? AF_INET : AF_INET6);
  question.sdiag_protocol = IPPROTO_TCP;
  question.idiag_states = kAllStates;
  question.id.idiag_sport = htons(from.port);
  question.id.idiag_dport = htons(to.port);
  std::memcpy(question.id.idiag_src, from.address.bytes(), from.address.size());
  std::memcpy(question.id.idiag_dst, to.address.bytes(), to.address.size());
  question.id.idiag_if = interface;
  question.id.idiag_cookie[0] = question.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  Builder(message, SOCK_DIAG_BY_FAMILY, 0, sequence).put(question);
}

Result<std::optional<DiagSocket>> parse_diag_reply(Bytes datagram, std::uint32_t sequence) {
  const auto answer = only_answer(datagram, sequence, SOCK_DIAG_BY_FAMILY);
  if (!answer) return fail(answer.error());
  if (!*answer) return std::nullopt;
  inet_diag_msg seen{};
  if ((*answer)->size() < sizeof seen) return malformed("a socket is cut");
  std::memcpy(&seen, (*answer)->data(), sizeof seen);
  if (seen.idiag_family != AF_INET && seen.idiag_family != AF_INET6)
    return malformed("a socket of another family");
  const bool v4 = seen.idiag_family == AF_INET;
  DiagSocket socket;
  socket.local = {address_from(seen.id.idiag_src, v4), ntohs(seen.id.idiag_sport)};
  socket.remote = {address_from(seen.id.idiag_dst, v4), ntohs(seen.id.idiag_dport)};
  socket.state = seen.idiag_state;
  socket.inode = seen.idiag_inode;
  // sock_diag_save_cookie in net/core/sock_diag.c: the lower half first.
  socket.cookie = seen.id.idiag_cookie[0] | std::uint64_t{seen.id.idiag_cookie[1]} << 32;
  socket.uid = seen.idiag_uid;
  socket.interface = seen.id.idiag_if;
  return socket;
}

void put_conntrack_question(std::vector<std::byte>& message, std::uint32_t sequence,
                            const net::Endpoint& from, const net::Endpoint& to) {
  const bool v4 = from.address.is_v4();
  Builder builder(message, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, 0, sequence);
  nfgenmsg family{};
  family.nfgen_family = static_cast<std::uint8_t>(v4 ? AF_INET : AF_INET6);
  family.version = NFNETLINK_V0;
  builder.put(family);
  nlmsghdr* const header = builder.header();
  nlattr* const tuple = mnl_attr_nest_start(header, CTA_TUPLE_REPLY);
  nlattr* const ip = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  mnl_attr_put(header, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, from.address.size(),
               from.address.bytes());
  mnl_attr_put(header, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, to.address.size(), to.address.bytes());
  mnl_attr_nest_end(header, ip);
  nlattr* const protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, IPPROTO_TCP);
  mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(from.port));
  mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(to.port));
  mnl_attr_nest_end(header, protocol);
  mnl_attr_nest_end(header, tuple);
}

Result<std::optional<SocketEnds>> parse_conntrack_reply(Bytes datagram, std::uint32_t sequence) {
  const auto answer =
      only_answer(datagram, sequence, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW);
  if (!answer) return fail(answer.error());
  if (!*answer) return std::nullopt;
  if ((*answer)->size() < sizeof(nfgenmsg)) return malformed("a tracked connection is cut");
  const auto top = attributes<CTA_TUPLE_REPLY + 1>((*answer)->subspan(sizeof(nfgenmsg)));
  if (!top) return malformed("an attribute is cut");
  const auto original = tuple_from((*top)[CTA_TUPLE_ORIG]);
  if (!original) return malformed("a tracked connection without its origin");
  return *original;
}

void put_interfaces_question(std::vector<std::byte>& message, std::uint32_t sequence) {
  Builder builder(message, RTM_GETLINK, NLM_F_DUMP, sequence);
  builder.put(ifinfomsg{});
  // Half of each answer would be counters.
  mnl_attr_put_u32(builder.header(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

Result<bool> parse_interfaces_reply(Bytes datagram, std::uint32_t sequence,
                                    std::vector<std::uint32_t>& indices) {
  while (!datagram.empty()) {
    const auto message = take(datagram);
    if (!message) return fail(message.error());
    if (message->header.nlmsg_seq != sequence) return malformed("an answer to another question");
    // rtnetlink(7): the list changed while it was told.
    if ((message->header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
      return malformed("the interfaces changed");
    if (message->header.nlmsg_type == NLMSG_DONE) return true;
    if (message->header.nlmsg_type == NLMSG_ERROR) {
      const auto number = error_number(message->payload);
      if (!number) return fail(number.error());
      return fail(from_errno(*number, "netlink"));
    }
    ifinfomsg interface {};
    if (message->header.nlmsg_type != RTM_NEWLINK || message->payload.size() < sizeof interface)
      return malformed("not an interface");
    std::memcpy(&interface, message->payload.data(), sizeof interface);
    if (interface.ifi_index <= 0) return malformed("an interface without number");
    indices.push_back(static_cast<std::uint32_t>(interface.ifi_index));
  }
  return false;
}

std::optional<std::uint32_t> sequence_of(Bytes datagram) {
  const auto message = take(datagram);
  if (!message) return std::nullopt;
  return message->header.nlmsg_seq;
}

}  // namespace warder::identity
