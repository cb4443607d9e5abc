#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "net/file_stamp.h"
#include "net/result.h"
#include "net/tls/client_stream.h"

namespace warder::tls {

// A ClientContext of files that somebody else renews. While they are no good, as in the middle of
// being replaced, the last one that was stays in use. The system's authorities, where there is no
// ca_file, are not watched.
class RenewableContext {
 public:
  // Errors: those of ClientContext::create.
  [[nodiscard]] static Result<std::shared_ptr<RenewableContext>> create(ClientFiles files);

  // Any thread. For streams that begin now; those there are keep theirs.
  [[nodiscard]] std::shared_ptr<const ClientContext> current() const;
  // Reads the files again if one of them has changed, or was no good. One thread. Gives what is to
  // be told: that another context is in use, or why it isn't (bad_config), once for each reason.
  [[nodiscard]] std::optional<Result<void>> look();

 private:
  using Stamps = std::array<net::FileStamp, 3>;

  RenewableContext(ClientFiles files, const Stamps& seen,
                   std::shared_ptr<const ClientContext> first);
  [[nodiscard]] static Stamps stamps(const ClientFiles& files);

  const ClientFiles files_;
  Stamps seen_;
  std::string problem_;       // that was told
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const ClientContext> current_;
};

}  // namespace warder::tls
