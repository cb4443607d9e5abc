#include "identity/socket_tables.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

// A million connections and more; the kernel gives 150 bytes a row.
constexpr std::size_t kTableLimit = std::size_t{256} * 1024 * 1024;

std::optional<std::uint64_t> network_namespace(int at, const std::string& path) {
  const auto target = read_link(at, path);
  if (!target) return std::nullopt;
  return parse_inode_link(*target, "net");
}

std::string why(const Error& error) {
  if (error.sys_errno == 0) return error.detail;
  const char* const known = ::strerrordesc_np(error.sys_errno);
  return known != nullptr ? known : error.detail;
}

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
    if (row->state == kTcpListen) return;
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

// One find(): what is wanted, and what was learned so far.
struct SocketTables::Call {
  std::span<const Connection> connections;
  WantedTuples wanted;
  std::vector<std::vector<std::size_t>> slots;  // of each connection
  std::vector<Result<bool>> local;              // whether each one's client address is ours
  std::optional<std::uint64_t> own_namespace;
  std::map<std::uint64_t, Result<TableReading>> readings;  // by namespace
  std::optional<Result<TableReading>> unnamed;             // of a namespace that can't be told
  std::vector<Sighting> sightings;

  // What `reading` says of connection `i`.
  [[nodiscard]] ScopeFinding finding(std::size_t i, const Scope& scope,
                                     const Result<TableReading>& reading) const {
    ScopeFinding result{scope, ScopeFinding::Kind::absent, {}, {}};
    if (!reading) {
      result.kind = ScopeFinding::Kind::unreadable;
      result.outcome = "not readable: " + why(reading.error());
      return result;
    }
    bool closed = false;
    for (const std::size_t slot : slots[i]) {
      const TableReading::Slot& seen = reading->slots[slot];
      closed |= seen.closed;
      for (const std::uint64_t inode : seen.inodes) result.sockets.push_back({inode, 0});
    }
    std::sort(result.sockets.begin(), result.sockets.end());
    result.sockets.erase(std::unique(result.sockets.begin(), result.sockets.end()),
                         result.sockets.end());
    if (closed) {
      result.kind = ScopeFinding::Kind::closed;
      result.outcome = "inode 0: closed by its owner";
    } else if (result.sockets.empty()) {
      result.outcome = "no entry in " + std::to_string(reading->rows) + " rows";
    } else {
      result.kind = ScopeFinding::Kind::found;
      for (const FoundSocket& socket : result.sockets)
        result.outcome += (result.outcome.empty() ? "inode " : ", ") + std::to_string(socket.inode);
    }
    return result;
  }
};

SocketTables::SocketTables(int proc_root, const std::vector<Sandbox>& sandboxes,
                           const std::vector<net::Endpoint>& aliases, LocalAddresses& local)
    : proc_root_(proc_root), sandboxes_(sandboxes), aliases_(aliases), local_(local) {}

std::vector<Sighting> SocketTables::find(std::span<const Connection> connections) {
  Call call;
  call.connections = connections;
  call.sightings.resize(connections.size());
  std::unordered_map<net::IpAddress, Result<bool>> known;
  for (const Connection& connection : connections) {
    auto& slots = call.slots.emplace_back();
    slots.push_back(call.wanted.add(connection.client, connection.proxy));
    if (connection.original_destination)
      slots.push_back(call.wanted.add(connection.client, *connection.original_destination));
    for (const net::Endpoint& alias : aliases_)
      slots.push_back(call.wanted.add(connection.client, alias));
    const net::IpAddress address = connection.client.address.unmapped();
    auto found = known.find(address);
    if (found == known.end()) found = known.emplace(address, local_.contains(address)).first;
    call.local.push_back(found->second);
  }
  call.own_namespace = network_namespace(proc_root_, "self/ns/net");
  for (const Sandbox& sandbox : sandboxes_) ask_sandbox(sandbox, call);
  ask_global(call);
  return std::move(call.sightings);
}

const Result<TableReading>& SocketTables::read(int at, std::optional<std::uint64_t> network,
                                               Call& call) const {
  if (!network) return call.unnamed.emplace(read_socket_tables(at, call.wanted));
  const auto known = call.readings.find(*network);
  if (known != call.readings.end() && known->second) return known->second;
  // One that failed is tried again: another process may be readable where this one isn't.
  return call.readings.insert_or_assign(*network, read_socket_tables(at, call.wanted))
      .first->second;
}

void SocketTables::ask_sandbox(const Sandbox& sandbox, Call& call) const {
  const Scope scope = sandbox.scope();
  const auto network = network_namespace(sandbox.directory(), "ns/net");
  const bool ours = network && network == call.own_namespace;
  std::optional<std::string> ended = sandbox.ended();
  const Result<TableReading>* reading = nullptr;
  if (!ended) {
    reading = &read(sandbox.directory(), network, call);
    // It may have ended while it was read; a table that was read whole is its table all the same.
    if (!*reading) ended = sandbox.ended();
  }
  for (std::size_t i = 0; i < call.connections.size(); ++i) {
    Sighting& sighting = call.sightings[i];
    if (!sighting.empty() && sighting.back().kind == ScopeFinding::Kind::closed) continue;
    const Result<bool>& local = call.local[i];
    const std::string address = call.connections[i].client.address.unmapped().text();
    if (ended) {
      sighting.push_back({scope, ScopeFinding::Kind::unreadable, {}, *ended});
    } else if (!ours && !local) {
      sighting.push_back({scope,
                          ScopeFinding::Kind::skipped,
                          {},
                          "not searched: whether " + address +
                              " is an address of the proxy's own network namespace could not be "
                              "found out: " +
                              why(local.error())});
    } else if (!ours && *local) {
      // Whoever controls another namespace can make a socket there with any address it likes.
      sighting.push_back(
          {scope,
           ScopeFinding::Kind::skipped,
           {},
           "not searched: " + address + " is an address of the proxy's own network namespace"});
    } else {
      sighting.push_back(call.finding(i, scope, *reading));
    }
  }
}

void SocketTables::ask_global(Call& call) const {
  const Result<TableReading>& reading = read(proc_root_, call.own_namespace, call);
  for (std::size_t i = 0; i < call.connections.size(); ++i) {
    Sighting& sighting = call.sightings[i];
    if (!sighting.empty() && sighting.back().kind == ScopeFinding::Kind::closed) continue;
    sighting.push_back(call.finding(i, Scope{}, reading));
  }
}

}  // namespace warder::identity
