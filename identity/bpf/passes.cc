#include "identity/bpf/passes.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "identity/bpf/own_socket.h"
#include "identity/bpf/pass_records.h"
#include "identity/bpf/programs.h"

namespace warder::identity::bpf {
namespace {

// bpf_seq_read in kernel/bpf/bpf_iter.c writes at most eight pages at a time.
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
constexpr std::size_t kMostBytes = std::size_t{64} * 1024 * 1024;
// It gives up with EAGAIN after a million descriptors without anything to tell, and goes on when
// asked again.
constexpr int kMostAgain = 1000;

std::uint32_t kernel_stack_bytes() {
  // Of x86-64 and of arm64, where it is at least a page (THREAD_SIZE).
  return std::max(std::uint32_t{16384}, static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace

void Passes::Unmap::operator()(PassState* state) const { ::munmap(state, sizeof *state); }

Result<Passes> Passes::open(std::uint32_t namespace_inode) {
  auto object = Object::load({"warder_pass", pass_program()});
  if (!object) return fail(std::move(object.error()));
  const auto program = object->program("on_descriptor");
  if (!program) return fail(program.error());
  const auto globals = object->map(".bss");
  if (!globals) return fail(globals.error());
  void* const memory =
      ::mmap(nullptr, sizeof(PassState), PROT_READ | PROT_WRITE, MAP_SHARED, *globals, 0);
  if (memory == MAP_FAILED) return fail(from_errno(errno, "mmap of a BPF map"));
  Passes passes(std::move(*object), *program, static_cast<PassState*>(memory));
  passes.state_->numbers.inode = namespace_inode;
  passes.state_->stack_bytes = kernel_stack_bytes();
  if (auto tried = passes.try_it(); !tried) return fail(std::move(tried.error()));
  return passes;
}

// Finds out by the way how far below the first PID namespace ours is: nothing else says so.
Result<void> Passes::try_it() {
  const auto own = connect_own_socket();
  if (!own) return fail(own.error());
  for (std::uint32_t level = 0; level < kMostLevels; ++level) {
    state_->numbers.level = level;
    const auto pass = run(std::span(&own->inode, 1), {::getpid()});
    if (!pass) return fail(pass.error());
    if (pass->tasks.size() != 1 || pass->held.size() != 1 ||
        pass->held.front().descriptor != own->fd.get() || pass->held.front().references != 1)
      return fail(Errc::system, "a socket of our own was counted wrongly");
    if (pass->tasks.front().task.pid == ::getpid()) return {};
  }
  return fail(Errc::system, "our own number was not found by a pass");
}

void Passes::set_wanted(std::span<const std::uint64_t> inodes) {
  const auto begin = std::begin(state_->wanted);
  const auto end = std::copy(inodes.begin(), inodes.end(), begin);
  std::sort(begin, end);
  const std::size_t length = std::bit_ceil(std::max(inodes.size(), std::size_t{1}));
  std::fill(end, begin + static_cast<std::ptrdiff_t>(length), WARDER_NOT_WANTED);
  state_->first_step = static_cast<std::uint32_t>(length / 2);
}

Result<net::UniqueFd> Passes::link(pid_t pid) const {
  bpf_iter_link_info info{};
  info.task.pid = static_cast<std::uint32_t>(pid);
  bpf_link_create_opts options{};
  options.sz = sizeof options;
  options.iter_info = &info;
  options.iter_info_len = sizeof info;
  const int made = bpf_link_create(program_, 0, BPF_TRACE_ITER, &options);
  if (made < 0) return fail(from_errno(-made, "bpf(BPF_LINK_CREATE) of a pass"));
  return net::UniqueFd(made);
}

Result<net::UniqueFd> Passes::begin(pid_t pid) {
  const net::UniqueFd* from = links_.find(pid);
  if (from == nullptr) {
    auto made = link(pid);
    if (!made) return fail(std::move(made.error()));
    from = &links_.put(pid, std::move(*made));
  }
  const int iterator = bpf_iter_create(from->get());
  if (iterator < 0) return fail(from_errno(-iterator, "bpf(BPF_ITER_CREATE)"));
  return net::UniqueFd(iterator);
}

Result<std::span<const std::byte>> Passes::read_all(int iterator) {
  std::size_t length = 0;
  for (int again = 0; again < kMostAgain;) {
    if (output_.size() < length + kReadBytes) output_.resize(2 * length + kReadBytes);
    const ssize_t got = ::read(iterator, output_.data() + length, output_.size() - length);
    if (state_->limited != 0 && state_->descriptors_left == 0)
      return fail(Errc::overloaded, "a BPF pass goes over too much");
    if (got == 0) return std::span<const std::byte>(output_).first(length);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
      return fail(from_errno(errno, "reading a BPF pass"));
    if (got < 0) ++again;
    if (got > 0) length += static_cast<std::size_t>(got);
    // The buffer has room for all that one read(2) can give, so that nothing is left behind.
    if (got > 0 && state_->ended != 0) return std::span<const std::byte>(output_).first(length);
    if (length > kMostBytes) return fail(Errc::overloaded, "a BPF pass tells too much");
  }
  return fail(Errc::overloaded, "a BPF pass does not come to an end");
}

Result<SocketPass> Passes::run(std::span<const std::uint64_t> inodes, const PassScope& scope) {
  if (inodes.size() > kMostWanted)
    return fail(Errc::overloaded, "more sockets wanted than one BPF pass looks for");
  set_wanted(inodes);
  state_->others = scope.others && scope.pid != 0 ? 1 : 0;
  state_->limited = scope.most_descriptors > 0 ? 1 : 0;
  state_->descriptors_left = scope.most_descriptors;
  state_->others_told = 0;
  state_->others_left_out = 0;
  state_->waiter_budget = kWaiterBudget;
  state_->last = {};
  state_->last_number = 0;
  state_->ended = 0;
  const auto iterator = begin(scope.pid);
  if (!iterator) return fail(iterator.error());
  const auto written = read_all(iterator->get());
  if (!written) return fail(written.error());
  auto pass = parse_pass(*written);
  if (pass) pass->others_complete = state_->others_left_out == 0;
  return pass;
}

}  // namespace warder::identity::bpf
