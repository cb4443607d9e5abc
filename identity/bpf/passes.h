#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "identity/bpf/object.h"
#include "identity/bpf/records.h"
#include "identity/kernel_view.h"
#include "identity/lru.h"

namespace warder::identity::bpf {

// Passes over the descriptors of one process or all.
//
// Before Linux 6.7 the kernel's pass over one process leaves out threads that have a table of their
// own or outlived the first thread, and shows a shared table more than once (it looks at the wrong
// thread, task_group_seq_get_next). What it leaves out is missing in the count, so that a full pass
// follows, which is right there too.
class Passes {
 public:
  // Errors: what bpf(2) says; system, when it was tried and counted wrongly.
  [[nodiscard]] static Result<Passes> open(std::uint32_t namespace_inode);
  // As KernelView::pass.
  [[nodiscard]] Result<SocketPass> run(std::span<const std::uint64_t> inodes,
                                       const PassScope& scope);

 private:
  static constexpr std::size_t kKnownLinks = 64;  // each is a descriptor

  struct Unmap {
    void operator()(PassState* state) const;
  };
  Passes(Object object, int program, PassState* state)
      : object_(std::move(object)), program_(program), state_(state) {}
  [[nodiscard]] Result<void> try_it();
  void set_wanted(std::span<const std::uint64_t> inodes);
  [[nodiscard]] Result<net::UniqueFd> begin(pid_t pid);
  [[nodiscard]] Result<net::UniqueFd> link(pid_t pid) const;
  // Everything that the pass writes; valid until the next call.
  [[nodiscard]] Result<std::span<const std::byte>> read_all(int iterator);

  Object object_;
  int program_;  // lives with object_
  std::unique_ptr<PassState, Unmap> state_;
  // What a pass is made from. It names a number, not a process: who has the number is looked up at
  // the beginning of each pass.
  Lru<pid_t, net::UniqueFd> links_{kKnownLinks};
  std::vector<std::byte> output_;
};

}  // namespace warder::identity::bpf
