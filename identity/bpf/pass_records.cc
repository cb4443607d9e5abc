#include "identity/bpf/pass_records.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace warder::identity::bpf {
namespace {

net::Endpoint endpoint(std::uint32_t family, const __u8 (&bytes)[16], std::uint16_t port) {
  if (family == AF_INET) {
    std::array<std::uint8_t, 4> four{};
    std::copy_n(bytes, four.size(), four.begin());
    return {net::IpAddress::v4(four), port};
  }
  std::array<std::uint8_t, 16> all{};
  std::copy_n(bytes, all.size(), all.begin());
  return {net::IpAddress::v6(all), port};
}

class Reader {
 public:
  // False: no record of that kind, or one without the task it belongs to.
  bool take(std::uint32_t kind, std::span<const std::byte> bytes) {
    if (kind == kHeldKind) return with<HeldRecord>(bytes, &Reader::held);
    if (kind == kTaskKind) return with<TaskRecord>(bytes, &Reader::task);
    if (kind == kAncestorKind) return with<AncestorRecord>(bytes, &Reader::ancestor);
    if (kind == kOtherKind) return with<OtherRecord>(bytes, &Reader::other);
    return false;
  }
  SocketPass result() { return std::move(pass_); }

 private:
  template <class Record>
  bool with(std::span<const std::byte> bytes, bool (Reader::*use)(const Record&)) {
    Record record{};
    if (bytes.size() != sizeof record) return false;
    std::memcpy(&record, bytes.data(), sizeof record);
    return (this->*use)(record);
  }

  bool ancestor(const AncestorRecord& record) {
    ancestors_.push_back(to_kernel_task(record.task));
    return true;
  }

  bool task(const TaskRecord& record) {
    KernelFacts facts;
    facts.uid = record.uid;
    facts.gid = record.gid;
    facts.user_namespace = record.user_namespace;
    facts.traced = record.traced != 0;
    facts.ancestors = std::exchange(ancestors_, {});
    facts.ancestors_complete = record.ancestors_complete != 0;
    pass_.tasks.push_back({to_kernel_task(record.task), std::move(facts)});
    return true;
  }

  bool held(const HeldRecord& record) {
    if (pass_.tasks.empty()) return false;
    HeldDescriptor held;
    held.task = pass_.tasks.size() - 1;
    held.thread = static_cast<pid_t>(record.thread);
    held.descriptor = static_cast<int>(record.descriptor);
    held.inode = record.inode;
    held.table = record.table;
    held.references = record.references;
    held.waiting = record.waiting;
    held.steady = record.steady != 0;
    held.waiting_known = record.uncounted == 0;
    pass_.held.push_back(held);
    return true;
  }

  bool other(const OtherRecord& record) {
    const auto same = [&](const OtherSocket& known) { return known.inode == record.inode; };
    if (std::any_of(pass_.others.begin(), pass_.others.end(), same)) return true;
    OtherSocket other;
    other.inode = record.inode;
    other.cookie = record.cookie;
    other.state = static_cast<int>(record.state);
    other.local = endpoint(record.family, record.local, record.local_port);
    other.remote = endpoint(record.family, record.remote, ntohs(record.remote_port));
    pass_.others.push_back(other);
    return true;
  }

  SocketPass pass_;
  std::vector<KernelTask> ancestors_;  // of the task that comes next
};

}  // namespace

KernelTask to_kernel_task(const TaskId& id) {
  KernelTask task;
  task.pid = static_cast<pid_t>(id.pid);
  task.start_ns = id.start_ns;
  task.executions = id.executions;
  task.image = {id.device, id.generation, id.inode};
  return task;
}

static_assert(kMostWanted == KernelView::kMostSockets);

Result<SocketPass> parse_pass(std::span<const std::byte> written) {
  Reader reader;
  while (!written.empty()) {
    RecordHead head{};
    if (written.size() >= sizeof head) std::memcpy(&head, written.data(), sizeof head);
    if (head.size < sizeof head || head.size > written.size() ||
        !reader.take(head.kind, written.first(head.size)))
      return fail(Errc::system, "a BPF pass wrote what is no record");
    written = written.subspan(head.size);
  }
  return reader.result();
}

}  // namespace warder::identity::bpf
