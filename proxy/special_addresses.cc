#include "proxy/special_addresses.h"

#include <array>
#include <vector>

namespace warder::proxy {
namespace {

struct Row {
  const char* range;
  AddressKind kind;
};

constexpr AddressKind kGlobal{AddressClass::global, ""};
constexpr AddressKind kLoopback{AddressClass::loopback, "a loopback address"};
constexpr AddressKind kUnspecified{AddressClass::blocked, "an unspecified address"};
constexpr AddressKind kLinkLocal{AddressClass::blocked, "a link-local address"};
constexpr AddressKind kMetadata{AddressClass::blocked, "a cloud metadata address"};
constexpr AddressKind kMulticast{AddressClass::blocked, "a multicast address"};
constexpr AddressKind kBroadcast{AddressClass::blocked, "the broadcast address"};
constexpr AddressKind kFuture{AddressClass::blocked, "a reserved address (240.0.0.0/4)"};
constexpr AddressKind kPrivate{AddressClass::special, "a private address"};
constexpr AddressKind kShared{AddressClass::special, "a shared address (carrier-grade NAT)"};
constexpr AddressKind kProtocol{AddressClass::special, "a protocol assignment address"};
constexpr AddressKind kDocumentation{AddressClass::special, "a documentation address"};
constexpr AddressKind kBenchmark{AddressClass::special, "a benchmarking address"};
constexpr AddressKind kReserved{AddressClass::special, "a reserved address"};
constexpr AddressKind kSegment{AddressClass::special, "a segment identifier (SRv6)"};
constexpr AddressKind kDiscard{AddressClass::special, "a discard-only address"};

// The first row that contains the address counts: exceptions stand before their range.
constexpr std::array kRows{
    // Metadata services outside the link-local ranges: Alibaba, Oracle, Azure.
    Row{"100.100.100.200/32", kMetadata},
    Row{"192.0.0.192/32", kMetadata},
    Row{"168.63.129.16/32", kMetadata},
    Row{"169.254.169.254/32", kMetadata},
    Row{"169.254.0.0/16", kLinkLocal},
    Row{"0.0.0.0/8", kUnspecified},
    Row{"127.0.0.0/8", kLoopback},
    Row{"10.0.0.0/8", kPrivate},
    Row{"172.16.0.0/12", kPrivate},
    Row{"192.168.0.0/16", kPrivate},
    Row{"100.64.0.0/10", kShared},
    // Anycast of PCP and TURN, which the registry calls globally reachable.
    Row{"192.0.0.9/32", kGlobal},
    Row{"192.0.0.10/32", kGlobal},
    Row{"192.0.0.0/24", kProtocol},
    Row{"192.0.2.0/24", kDocumentation},
    Row{"198.51.100.0/24", kDocumentation},
    Row{"203.0.113.0/24", kDocumentation},
    Row{"192.88.99.0/24", kReserved},
    Row{"198.18.0.0/15", kBenchmark},
    Row{"224.0.0.0/4", kMulticast},
    Row{"255.255.255.255/32", kBroadcast},
    Row{"240.0.0.0/4", kFuture},
    Row{"0.0.0.0/0", kGlobal},

    Row{"::/128", kUnspecified},
    Row{"::1/128", kLoopback},
    // Amazon, Google, Oracle, Scaleway.
    Row{"fd00:ec2::254/128", kMetadata},
    Row{"fd00:ec2::23/128", kMetadata},
    Row{"fd20:ce::254/128", kMetadata},
    Row{"fd00:c1::a9fe:a9fe/128", kMetadata},
    Row{"fd00:42::42/128", kMetadata},
    Row{"fe80::/10", kLinkLocal},
    Row{"ff00::/8", kMulticast},
    Row{"fc00::/7", kPrivate},
    Row{"fec0::/10", kPrivate},
    Row{"64:ff9b:1::/48", kPrivate},
    Row{"100::/64", kDiscard},
    Row{"100:0:0:1::/64", kDiscard},
    Row{"2001:1::1/128", kGlobal},
    Row{"2001:1::2/128", kGlobal},
    Row{"2001:1::3/128", kGlobal},
    Row{"2001:2::/48", kBenchmark},
    Row{"2001:3::/32", kGlobal},
    Row{"2001:4:112::/48", kGlobal},
    Row{"2001:20::/28", kGlobal},
    Row{"2001:30::/28", kGlobal},
    Row{"2001::/23", kProtocol},
    Row{"2001:db8::/32", kDocumentation},
    Row{"3fff::/20", kDocumentation},
    Row{"5f00::/16", kSegment},
    // The only range from which global unicast addresses are given out.
    Row{"2000::/3", kGlobal},
    Row{"::/0", kReserved},
};

struct Parsed {
  net::IpRange range;
  AddressKind kind;
};

const std::vector<Parsed>& table() {
  static const std::vector<Parsed> parsed = [] {
    std::vector<Parsed> rows;
    rows.reserve(kRows.size());
    for (const Row& row : kRows) rows.push_back({net::IpRange::parse(row.range).value(), row.kind});
    return rows;
  }();
  return parsed;
}

net::IpAddress ipv4_at(const net::IpAddress& address, std::size_t offset, std::uint8_t flip = 0) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(address.bytes()[offset + i] ^ flip);
  }
  return net::IpAddress::v4(bytes);
}

// RFC 6052 section 2.2: byte 8 is zero and belongs to neither prefix nor address.
net::IpAddress ipv4_around_byte_8(const net::IpAddress& address, std::size_t offset) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::uint8_t& byte : bytes) {
    if (offset == 8) ++offset;
    byte = address.bytes()[offset++];
  }
  return net::IpAddress::v4(bytes);
}

// 00-00-5e-fe, or 02-00-5e-fe for a public address.
bool is_isatap(const net::IpAddress& address) {
  const std::uint8_t* id = address.bytes() + 8;
  return (id[0] & 0xfdU) == 0 && id[1] == 0 && id[2] == 0x5e && id[3] == 0xfe;
}

struct Embedding {
  net::IpRange prefix;
  std::size_t offset;
  std::uint8_t flip;
};

const std::vector<Embedding>& embeddings() {
  static const std::vector<Embedding> all{
      {net::IpRange::parse("::ffff:0:0/96").value(), 12, 0},    // mapped
      {net::IpRange::parse("::ffff:0:0:0/96").value(), 12, 0},  // translated, RFC 2765
      {net::IpRange::parse("::/96").value(), 12, 0},            // compatible, RFC 4291
      {net::IpRange::parse("64:ff9b::/96").value(), 12, 0},
      {net::IpRange::parse("2002::/16").value(), 2, 0},
      {net::IpRange::parse("2001::/32").value(), 12, 0xff},
  };
  return all;
}

}  // namespace

AddressKind classify(const net::IpAddress& address) {
  for (const Parsed& row : table()) {
    if (row.range.contains(address)) return row.kind;
  }
  return kReserved;
}

std::optional<net::IpAddress> embedded_ipv4(const net::IpAddress& address) {
  // :: and ::1 are what they are, not compatible addresses.
  if (address.is_v4() || classify(address).of_class == AddressClass::loopback ||
      address == net::IpAddress::v6({})) {
    return std::nullopt;
  }
  for (const Embedding& embedding : embeddings()) {
    if (embedding.prefix.contains(address)) {
      return ipv4_at(address, embedding.offset, embedding.flip);
    }
  }
  return std::nullopt;
}

std::vector<net::IpAddress> possible_ipv4(const net::IpAddress& address) {
  static const net::IpRange local_nat64 = net::IpRange::parse("64:ff9b:1::/48").value();
  static const net::IpRange teredo = net::IpRange::parse("2001::/32").value();
  if (address.is_v4()) return {};
  std::vector<net::IpAddress> possible;
  if (local_nat64.contains(address)) {
    for (const std::size_t prefix_bytes : {6U, 7U, 8U, 12U}) {
      possible.push_back(ipv4_around_byte_8(address, prefix_bytes));
    }
  }
  if (is_isatap(address)) possible.push_back(ipv4_at(address, 12));
  if (teredo.contains(address)) possible.push_back(ipv4_at(address, 4));
  // No translator and no tunnel leads to "this network"; wrong readings mostly do.
  std::erase_if(possible, [](const net::IpAddress& ipv4) { return ipv4.bytes()[0] == 0; });
  return possible;
}

}  // namespace warder::proxy
