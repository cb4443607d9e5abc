#pragma once

#include <memory>

#include "identity/image_hashes.h"
#include "identity/resolver.h"

namespace warder::identity {

// Adds to what another resolver finds the SHA-256 of each process's image, or why there is none.
// What is not known yet is computed elsewhere, and the callback runs when all is there or the time
// for it is over. A confirmation compares no hashes and doesn't wait for any: the images are the
// same files.
class HashedResolver final : public Resolver {
 public:
  HashedResolver(std::unique_ptr<Resolver> inner, std::unique_ptr<ImageHashes> hashes);
  ~HashedResolver() override;
  HashedResolver(const HashedResolver&) = delete;
  HashedResolver& operator=(const HashedResolver&) = delete;

  [[nodiscard]] std::unique_ptr<Lookup> start(const Connection& connection, net::Loop& loop,
                                              Callback callback) override;
  [[nodiscard]] std::unique_ptr<Lookup> confirm(const Connection& connection,
                                                const Identity& before, net::Loop& loop,
                                                ConfirmCallback callback) override;

 private:
  class Ticket;
  class HashedLookup;

  std::unique_ptr<ImageHashes> hashes_;
  std::unique_ptr<Resolver> inner_;
};

}  // namespace warder::identity
