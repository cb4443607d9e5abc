#include "identity/scope_walk.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

// That are asked at once: each takes a few microseconds.
constexpr std::size_t kPlacesAtOnce = 32;

std::optional<std::uint64_t> network_namespace(int at, const std::string& path) {
  const auto target = read_link(at, path);
  if (!target) return std::nullopt;
  return parse_inode_link(*target, "net");
}

Question question_about(const Connection& connection, const std::vector<net::Endpoint>& aliases) {
  Question question;
  question.client = connection.client.unmapped();
  question.proxy = connection.proxy.unmapped();
  question.in_any_scope = connection.in_any_scope;
  const auto add = [&](const net::Endpoint& remote) {
    const SocketEnds ends{question.client, remote.unmapped()};
    for (const SocketEnds& known : question.ends)
      if (known == ends) return;
    // No socket has ends of two families.
    if (ends.local.address.is_v4() == ends.remote.address.is_v4()) question.ends.push_back(ends);
  };
  add(connection.proxy);
  if (connection.original_destination) add(*connection.original_destination);
  for (const net::Endpoint& alias : aliases) add(alias);
  return question;
}

// One line for all discovered namespaces that have nothing to say: there may be thousands.
void summarize(const std::optional<std::string>& problem, Sighting& sighting) {
  std::size_t count = 0;
  ScopeFinding last;
  std::erase_if(sighting, [&](ScopeFinding& finding) {
    const bool silent = finding.kind == ScopeFinding::Kind::skipped ||
                        (finding.kind == ScopeFinding::Kind::absent && !finding.translated);
    if (finding.scope.kind != Scope::Kind::discovered || !silent) return false;
    ++count;
    last = std::move(finding);
    return true;
  });
  if (count == 0 && !problem) return;
  if (count > 1) last.outcome += " (and the same of " + std::to_string(count - 1) + " others)";
  if (count == 0) last.outcome = "none";
  if (problem) last.outcome += "; " + *problem;
  if (!sighting.empty()) last.method = sighting.back().method;
  last.scope = {};
  last.scope.kind = Scope::Kind::discovered;
  sighting.push_back(std::move(last));
}

}  // namespace

void ScopeReader::ask_translated(const Place& /*place*/, std::size_t /*i*/,
                                 ScopeFinding& /*finding*/) {}
void ScopeReader::directories_changed() {}
void ScopeReader::end(std::span<const Place> /*places*/) {}

bool conclude(bool closed, ScopeFinding& finding) {
  auto& sockets = finding.sockets;
  std::sort(sockets.begin(), sockets.end());
  sockets.erase(std::unique(sockets.begin(), sockets.end()), sockets.end());
  if (closed) {
    finding.kind = ScopeFinding::Kind::closed;
    finding.outcome = "inode 0: closed by its owner";
    return true;
  }
  finding.kind = sockets.empty() ? ScopeFinding::Kind::absent : ScopeFinding::Kind::found;
  finding.outcome.clear();
  for (const FoundSocket& socket : sockets)
    finding.outcome += (finding.outcome.empty() ? "inode " : ", ") + std::to_string(socket.inode);
  return !sockets.empty();
}

// One find(). Finding k of each sighting is of place k: only what is closed has fewer.
struct ScopeWalk::Call {
  ScopeReader& reader;
  std::vector<Question> questions;
  std::vector<Place> places;
  std::vector<Sighting> sightings;
  std::unordered_map<net::IpAddress, Result<bool>> local;
  std::optional<std::string> problem;  // of discovery

  [[nodiscard]] bool is_closed(std::size_t i) const {
    return !sightings[i].empty() && sightings[i].back().kind == ScopeFinding::Kind::closed;
  }
  [[nodiscard]] bool is_missing(std::size_t i) const {
    for (const ScopeFinding& finding : sightings[i])
      if (finding.kind == ScopeFinding::Kind::found || finding.kind == ScopeFinding::Kind::closed)
        return false;
    return true;
  }
  [[nodiscard]] bool any_missing() const {
    for (std::size_t i = 0; i < sightings.size(); ++i)
      if (is_missing(i)) return true;
    return false;
  }
};

ScopeWalk::ScopeWalk(int proc_root, const std::vector<Sandbox>& sandboxes,
                     const std::vector<net::Endpoint>& aliases, LocalAddresses& local,
                     NamespaceScan* scan, Effort* effort)
    : proc_root_(proc_root),
      sandboxes_(sandboxes),
      aliases_(aliases),
      local_(local),
      scan_(scan),
      effort_(effort),
      own_namespace_(network_namespace(proc_root, "self/ns/net")) {}

std::vector<Sighting> ScopeWalk::find(std::span<const Connection> connections,
                                      ScopeReader& reader) {
  Call call{reader, {}, {}, std::vector<Sighting>(connections.size()), {}, {}};
  call.questions.reserve(connections.size());
  for (const Connection& connection : connections)
    call.questions.push_back(question_about(connection, aliases_));
  const std::size_t scopes = sandboxes_.size() + 1 + (scan_ == nullptr ? 0 : scan_->known().size());
  if (scopes > kPlacesAtOnce && !may_wait(effort_)) return std::move(call.sightings);
  reader.begin(call.questions);
  add_configured(call);
  if (scan_ != nullptr) add_discovered(call);
  visit(0, call);
  if (call.any_missing() && !may_wait(effort_)) return std::move(call.sightings);
  if (scan_ != nullptr && call.any_missing()) discover(call);
  ask_translated(call);
  if (scan_ != nullptr)
    for (std::size_t i = 0; i < call.sightings.size(); ++i)
      summarize(call.is_missing(i) ? call.problem : std::nullopt, call.sightings[i]);
  // What is open in namespaces that have gone may take its time to close.
  if (!at_once(effort_)) reader.end(call.places);
  return std::move(call.sightings);
}

void ScopeWalk::add_configured(Call& call) const {
  call.places.reserve(sandboxes_.size() + 1);
  for (const Sandbox& sandbox : sandboxes_) {
    Place place;
    place.scope = sandbox.scope();
    place.directory = sandbox.directory();
    place.link = "ns/net";
    place.sandbox = &sandbox;
    place.network_namespace = network_namespace(place.directory, place.link);
    place.ours = place.network_namespace && place.network_namespace == own_namespace_;
    call.places.push_back(std::move(place));
  }
  Place own;
  own.directory = proc_root_;
  own.link = "self/ns/net";
  own.network_namespace = own_namespace_;
  own.ours = true;
  call.places.push_back(std::move(own));
}

// Those that the scan knows and that are not among the places yet.
void ScopeWalk::add_discovered(Call& call) const {
  for (const NamespaceScan::Entry& entry : scan_->known()) {
    bool known = false;
    for (const Place& place : call.places)
      known |= place.network_namespace == entry.network_namespace;
    if (known) continue;
    Place place;
    place.scope.kind = Scope::Kind::discovered;
    place.scope.pid = entry.pid;
    place.scope.network_namespace = entry.network_namespace;
    place.directory = entry.directory.get();
    place.link = "ns/net";
    place.network_namespace = entry.network_namespace;
    call.places.push_back(std::move(place));
  }
}

// Asks the places from number `from` on about every connection.
void ScopeWalk::visit(std::size_t from, Call& call) {
  for (std::size_t k = from; k < call.places.size(); ++k)
    for (std::size_t i = 0; i < call.questions.size(); ++i)
      if (!call.is_closed(i)) visit(call.places[k], i, call);
}

void ScopeWalk::visit(const Place& place, std::size_t i, Call& call) {
  ScopeFinding& finding = call.sightings[i].emplace_back();
  finding.scope = place.scope;
  if (place.sandbox != nullptr && !place.network_namespace) {
    if (auto ended = place.sandbox->ended()) {
      finding.kind = ScopeFinding::Kind::unreadable;
      finding.outcome = std::move(*ended);
      return;
    }
  }
  if (!place.ours && !call.questions[i].in_any_scope) {
    const Result<bool>& local = is_local(i, call);
    const net::IpAddress& address = call.questions[i].client.address;
    // Whoever controls another namespace can make a socket there with any address it likes.
    if (!local || *local) {
      finding.kind = ScopeFinding::Kind::skipped;
      finding.outcome =
          local ? "not searched: " + address.text() +
                      " is an address of the proxy's own network namespace"
                : "not searched: whether " + address.text() +
                      " is an address of the proxy's own network namespace could not be found "
                      "out: " +
                      cause_of(local.error());
      return;
    }
  }
  call.reader.ask(place, i, finding);
}

const Result<bool>& ScopeWalk::is_local(std::size_t i, Call& call) {
  const net::IpAddress& address = call.questions[i].client.address;
  auto known = call.local.find(address);
  if (known == call.local.end())
    known = call.local.emplace(address, local_.contains(address)).first;
  call.questions[i].maybe_local = !known->second || *known->second;
  return known->second;
}

// Looks for namespaces that have come since, and asks those.
void ScopeWalk::discover(Call& call) {
  bool any = false;
  for (std::size_t i = 0; i < call.sightings.size() && !any; ++i) {
    if (!call.is_missing(i)) continue;
    const Result<bool>& local = is_local(i, call);
    any = local && !*local;
  }
  if (!any) return;
  call.problem = scan_->refresh();
  call.reader.directories_changed();
  // What the scan knew before may be gone, and its directory with it.
  for (Place& place : call.places) {
    if (place.scope.kind != Scope::Kind::discovered) continue;
    place.directory = -1;
    for (const NamespaceScan::Entry& entry : scan_->known())
      if (entry.network_namespace == place.network_namespace)
        place.directory = entry.directory.get();
  }
  const std::size_t before = call.places.size();
  add_discovered(call);
  visit(before, call);
}

void ScopeWalk::ask_translated(Call& call) {
  for (std::size_t i = 0; i < call.questions.size(); ++i) {
    if (!call.is_missing(i)) continue;
    Sighting& sighting = call.sightings[i];
    for (std::size_t k = 0; k < sighting.size(); ++k) {
      if (sighting[k].kind != ScopeFinding::Kind::absent) continue;
      call.reader.ask_translated(call.places[k], i, sighting[k]);
      if (sighting[k].kind == ScopeFinding::Kind::closed) break;
    }
  }
}

}  // namespace warder::identity
