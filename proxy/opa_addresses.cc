#include "proxy/opa_addresses.h"

#include <algorithm>
#include <string>
#include <utility>

namespace warder::proxy {
namespace {

constexpr std::size_t kMost = 256;

class WatchedResolver final : public net::NameResolver {
 public:
  WatchedResolver(net::NameResolver& names, OpaAddresses& addresses, std::uint16_t port)
      : names_(names), addresses_(addresses), port_(port) {}

  std::unique_ptr<net::NameLookup> start(const std::string& name, Callback callback) override {
    return names_.start(
        name, [&addresses = addresses_, port = port_,
               callback = std::move(callback)](Result<std::vector<net::IpAddress>> result) {
          if (result) addresses.found(*result, port);
          callback(std::move(result));
        });
  }

 private:
  net::NameResolver& names_;
  OpaAddresses& addresses_;
  const std::uint16_t port_;
};

}  // namespace

void OpaAddresses::found(const std::vector<net::IpAddress>& addresses, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  for (const net::IpAddress& address : addresses) {
    const net::Endpoint at{address.unmapped(), port};
    if (std::find(found_.begin(), found_.end(), at) != found_.end()) continue;
    if (found_.size() == kMost) found_.erase(found_.begin());
    found_.push_back(at);
  }
}

bool OpaAddresses::contain(const net::IpAddress& address, std::uint16_t port) const {
  const net::Endpoint wanted{address.unmapped(), port};
  const std::lock_guard lock(mutex_);
  return std::find(found_.begin(), found_.end(), wanted) != found_.end();
}

std::unique_ptr<net::NameResolver> find_opa_by(net::NameResolver& names, OpaAddresses& addresses,
                                               opa::ClientOptions& options) {
  auto watched = std::make_unique<WatchedResolver>(names, addresses, options.address.endpoint.port);
  options.names = watched.get();
  return watched;
}

}  // namespace warder::proxy
