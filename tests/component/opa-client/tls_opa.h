#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "net/address.h"
#include "net/unique_fd.h"

namespace warder::testing {

// A key and a certificate it signed itself, good for `names` ("DNS:opa,IP:127.0.0.1"), as files.
struct Credentials {
  std::string cert_file, key_file;
};
[[nodiscard]] Credentials make_credentials(const std::string& directory, const std::string& name,
                                           const std::string& names);

struct TlsOpaOptions {
  Credentials credentials;
  std::string client_ca_file;   // empty: no certificate is asked for
  int newest = 0;               // a protocol version of OpenSSL; 0: any
  std::string answer;           // bytes, to each request
  std::size_t piece = 1 << 20;  // of what is written at a time: so large are the records at most
  bool cut = false;             // the connection ends after an answer without close_notify
};

// An OPA behind TLS, on a thread of its own. It serves one connection after the other.
class TlsOpa {
 public:
  explicit TlsOpa(TlsOpaOptions options);
  ~TlsOpa();
  TlsOpa(const TlsOpa&) = delete;
  TlsOpa& operator=(const TlsOpa&) = delete;

  [[nodiscard]] net::Endpoint at() const { return at_; }
  // How many connections took up a session of one before.
  [[nodiscard]] int resumed() const { return resumed_; }

 private:
  struct Shared;

  [[nodiscard]] bool wait_for(int fd) const;
  void run();
  void serve(int fd, Shared& shared);

  TlsOpaOptions options_;
  std::atomic<int> resumed_ = 0;
  net::UniqueFd listener_, stop_;
  net::Endpoint at_;
  std::thread thread_;
};

}  // namespace warder::testing
