#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "identity/netlink_messages.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// A netlink socket that talks to the kernel only, in the network namespace where it was opened,
// whatever namespace the thread is in later. Belongs to one thread at a time.
class NetlinkSocket {
 public:
  // In the calling thread's network namespace. Errors: those of socket(2), bind(2), connect(2).
  // `groups`: multicast groups to hear, as RTMGRP_*.
  [[nodiscard]] static Result<NetlinkSocket> open(int protocol, std::uint32_t groups = 0);

  // The number of the next question, never 0.
  [[nodiscard]] std::uint32_t next_sequence();
  [[nodiscard]] Result<void> send(Bytes message);
  // One whole datagram; good until the next call. Errors: timed_out after 100 ms, system.
  [[nodiscard]] Result<Bytes> receive();
  // The answer to question `sequence`, passing over what answers an earlier one.
  [[nodiscard]] Result<Bytes> receive(std::uint32_t sequence);
  // Takes away what has come without waiting. Whether anything had, or some of it was lost.
  [[nodiscard]] bool drain();

 private:
  explicit NetlinkSocket(net::UniqueFd fd);

  net::UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace warder::identity
