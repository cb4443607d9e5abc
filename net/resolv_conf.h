#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/result.h"

namespace warder::net {

// What resolv.conf(5) says about whom to ask, and in which order. A plain value.
struct ResolvConf {
  std::vector<IpAddress> servers;  // the first three, without repeats
  bool rotate = false;             // not always the first of them first

  bool operator==(const ResolvConf&) const = default;
};

// Lines that say nothing about it, or nothing that can be understood, count for nothing: nor does a
// server with a zone, which c-ares 1.18 can't ask.
[[nodiscard]] ResolvConf parse_resolv_conf(std::string_view text);

// Waits for nobody but a file system. Errors: not_found for no file, or one that names no server;
// bad_config for what is no regular file, or has more than 64 KiB; not_permitted,
// out_of_descriptors, system.
[[nodiscard]] Result<ResolvConf> read_resolv_conf(const std::string& path);

// Of whom names are asked from now on.
struct NameServers {
  std::string asked;    // "10.0.0.2:53 [fd00::2]:53"
  std::string problem;  // of resolv.conf, for people; if there is one, it has changed nothing

  bool operator==(const NameServers&) const = default;
};
using OnNameServers = std::function<void(const NameServers&)>;

}  // namespace warder::net
