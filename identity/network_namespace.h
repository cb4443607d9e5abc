#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "identity/effort.h"
#include "identity/netlink_messages.h"
#include "identity/netlink_socket.h"
#include "identity/place.h"
#include "identity/sock_diag.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// What one network namespace says of connections. Belongs to one thread at a time.
class NamespaceView {
 public:
  virtual ~NamespaceView() = default;
  // As SockDiag::find.
  [[nodiscard]] virtual Result<std::vector<DiagSocket>> find(std::span<const SocketEnds> wanted,
                                                             SockDiag::Bound bound) = 0;
  // What connection tracking knows of the connection whose answers go from `proxy` to `client`:
  // how the client's own socket sees it. nullopt: it is not tracked there.
  [[nodiscard]] virtual Result<std::optional<SocketEnds>> dialled(const net::Endpoint& proxy,
                                                                  const net::Endpoint& client) = 0;
};

// Sockets that were opened in the namespace and stay there.
class NamespaceSockets final : public NamespaceView {
 public:
  // Of the calling thread's network namespace. Without connection tracking dialled() is an error.
  [[nodiscard]] static Result<std::unique_ptr<NamespaceView>> open();

  [[nodiscard]] Result<std::vector<DiagSocket>> find(std::span<const SocketEnds> wanted,
                                                     SockDiag::Bound bound) override;
  [[nodiscard]] Result<std::optional<SocketEnds>> dialled(const net::Endpoint& proxy,
                                                          const net::Endpoint& client) override;

 private:
  NamespaceSockets(SockDiag diag, Result<NetlinkSocket> conntrack)
      : diag_(std::move(diag)), conntrack_(std::move(conntrack)) {}

  SockDiag diag_;
  Result<NetlinkSocket> conntrack_;
};

// Calls `visit` with the calling thread in the network namespace `target`, and takes it back to
// `home`; both are descriptors of namespaces. Where there is no way back the process is ended: it
// would go on asking and connecting in a namespace that somebody else controls. Errors: those of
// setns(2), `visit` was not called then.
[[nodiscard]] Result<void> in_network_namespace(int target, int home,
                                                const std::function<void()>& visit);

// Views of the namespaces of scopes.
class NamespaceViews {
 public:
  virtual ~NamespaceViews() = default;
  // Good until drop() or keep_only().
  [[nodiscard]] virtual Result<NamespaceView*> view(const Place& place) = 0;
  // It did not answer: the next view of that namespace is opened anew.
  virtual void drop(const Place& place) = 0;
  // No other namespace is there any more: what is open in one keeps it from ending.
  virtual void keep_only(std::span<const Place> places) = 0;
};

// Goes into each namespace once and keeps what it opened there, which any thread may use then. At
// once (Effort) it goes into none.
class EnteredNamespaces final : public NamespaceViews {
 public:
  // `proc_root` is an open directory. The calling thread is in our own namespace.
  // `effort` outlives this.
  explicit EnteredNamespaces(int proc_root, Effort* effort = nullptr);

  // Whether our own namespace can be asked, and `proc_root` is of the same one.
  [[nodiscard]] Result<void> check_own() const;
  // Whether namespaces can be entered at all, by doing it with our own.
  [[nodiscard]] Result<void> check_entering() const;

  [[nodiscard]] Result<NamespaceView*> view(const Place& place) override;
  void drop(const Place& place) override;
  void keep_only(std::span<const Place> places) override;

 private:
  [[nodiscard]] Result<std::unique_ptr<NamespaceView>> enter(const Place& place) const;

  struct Entered {
    std::uint64_t network_namespace;
    std::unique_ptr<NamespaceView> view;
  };
  Effort* effort_;
  Result<net::UniqueFd> home_;
  std::unique_ptr<NamespaceView> own_;
  std::vector<Entered> entered_;
};

}  // namespace warder::identity
