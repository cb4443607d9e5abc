#include "identity/socket_tables.h"

#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

// A million connections and more; the kernel gives 150 bytes a row.
constexpr std::size_t kTableLimit = std::size_t{256} * 1024 * 1024;

Result<void> read_table(int at, const std::string& path, const WantedTuples& wanted,
                        TableReading& reading) {
  bool heading = true;
  std::size_t malformed = 0;
  auto done = read_lines(at, path, kTableLimit, [&](std::string_view line) {
    if (std::exchange(heading, false)) return;
    const auto row = parse_socket_row(line);
    if (!row) {
      ++malformed;
      return;
    }
    ++reading.rows;
    // Who is still connecting is not the other end of a connection that was accepted.
    if (row->state == kTcpListen || row->state == kTcpSynSent) return;
    const auto slot = wanted.find(row->local, row->remote);
    if (!slot) return;
    if (row->inode == 0)
      reading.slots[*slot].closed = true;
    else
      reading.slots[*slot].inodes.push_back(row->inode);
  });
  if (done && heading) return fail(Errc::system, path + ": empty");
  if (done && malformed > 0)
    return fail(Errc::system, path + ": " + std::to_string(malformed) + " malformed rows");
  return done;
}

}  // namespace

std::size_t WantedTuples::add(const net::Endpoint& local, const net::Endpoint& remote) {
  auto& remotes = remotes_[local.unmapped()];
  const net::Endpoint plain = remote.unmapped();
  for (const Remote& known : remotes)
    if (known.endpoint == plain) return known.slot;
  remotes.push_back({plain, size_});
  return size_++;
}

std::optional<std::size_t> WantedTuples::find(const net::Endpoint& local,
                                              const net::Endpoint& remote) const {
  const auto found = remotes_.find(local.unmapped());
  if (found == remotes_.end()) return std::nullopt;
  const net::Endpoint plain = remote.unmapped();
  for (const Remote& known : found->second)
    if (known.endpoint == plain) return known.slot;
  return std::nullopt;
}

Result<TableReading> read_socket_tables(int at, const WantedTuples& wanted) {
  TableReading reading;
  reading.slots.resize(wanted.size());
  auto done = read_table(at, "net/tcp", wanted, reading);
  if (!done) return fail(std::move(done.error()));
  done = read_table(at, "net/tcp6", wanted, reading);
  if (!done && done.error().code != Errc::not_found) return fail(std::move(done.error()));
  return reading;
}

void TableReader::begin(std::span<const Question> questions) {
  questions_ = questions;
  wanted_ = {};
  slots_.clear();
  by_namespace_.clear();
  by_directory_.clear();
}

void TableReader::prepare() {
  if (!slots_.empty()) return;
  for (const Question& question : questions_) {
    auto& slots = slots_.emplace_back();
    for (const SocketEnds& ends : question.ends)
      slots.push_back(wanted_.add(ends.local, ends.remote));
  }
}

const TableReader::Read& TableReader::read(const Place& place) {
  // A process that ended, or that can't be read, says nothing of another in the same namespace.
  const auto failed = by_directory_.find(place.directory);
  if (failed != by_directory_.end()) return failed->second;
  if (place.sandbox != nullptr)
    if (auto ended = place.sandbox->ended())
      return by_directory_.emplace(place.directory, Read{std::move(ended), TableReading{}})
          .first->second;
  if (place.network_namespace) {
    const auto known = by_namespace_.find(*place.network_namespace);
    if (known != by_namespace_.end()) return known->second;
  }
  Read read{std::nullopt, read_socket_tables(place.directory, wanted_)};
  // It may have ended while it was read; a table that was read whole is its table all the same.
  if (!read.reading && place.sandbox != nullptr) read.ended = place.sandbox->ended();
  if (read.reading && place.network_namespace)
    return by_namespace_.emplace(*place.network_namespace, std::move(read)).first->second;
  return by_directory_.emplace(place.directory, std::move(read)).first->second;
}

void TableReader::ask(const Place& place, std::size_t i, ScopeFinding& finding) {
  prepare();
  const Read& seen = read(place);
  finding.method = "procfs";
  if (seen.ended || !seen.reading) {
    finding.kind = ScopeFinding::Kind::unreadable;
    finding.outcome = seen.ended ? *seen.ended : "not readable: " + cause_of(seen.reading.error());
    return;
  }
  bool closed = false;
  for (const std::size_t slot : slots_[i]) {
    const TableReading::Slot& row = seen.reading->slots[slot];
    closed |= row.closed;
    for (const std::uint64_t inode : row.inodes) finding.sockets.push_back({inode, 0});
  }
  if (!conclude(closed, finding))
    finding.outcome = "no entry in " + std::to_string(seen.reading->rows) + " rows";
}

}  // namespace warder::identity
