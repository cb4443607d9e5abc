#include "tls_opa.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

#include "net/socket.h"

namespace warder::testing {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

namespace {

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<SSL_free>>;
using File = std::unique_ptr<std::FILE, Freed<std::fclose>>;

void add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  REQUIRE(extension);
  REQUIRE(X509_add_ext(certificate, extension.get(), -1) == 1);
}

Certificate sign(EVP_PKEY* key, const std::string& names) {
  constexpr int kDay = 86400;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kDay);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  // A common name that no check may take for the host.
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("only.common"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  add_extension(certificate.get(), NID_subject_alt_name, names);
  REQUIRE(X509_sign(certificate.get(), key, EVP_sha256()) > 0);
  return certificate;
}

}  // namespace

Credentials make_credentials(const std::string& directory, const std::string& name,
                             const std::string& names) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate = sign(key.get(), names);
  Credentials files{directory + "/" + name + ".crt", directory + "/" + name + ".key"};
  const File cert_file(std::fopen(files.cert_file.c_str(), "we"));
  REQUIRE(cert_file);
  REQUIRE(PEM_write_X509(cert_file.get(), certificate.get()) == 1);
  const File key_file(std::fopen(files.key_file.c_str(), "we"));
  REQUIRE(key_file);
  REQUIRE(PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
          1);
  return files;
}

TlsOpa::TlsOpa(TlsOpaOptions options)
    : options_(std::move(options)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  auto listener =
      net::listen_tcp({net::IpAddress::v4({127, 0, 0, 1}), 0}, 16, net::PortSharing::exclusive);
  REQUIRE(listener);
  listener_ = std::move(*listener);
  at_ = net::local_endpoint(listener_.get()).value();
  thread_ = std::thread([this] { run(); });
}

TlsOpa::~TlsOpa() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

// False when the end has come.
bool TlsOpa::wait_for(int fd) const {
  std::array<pollfd, 2> polled{{{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (::poll(polled.data(), polled.size(), -1) < 0) continue;
  return polled[1].revents == 0;
}

// What its connections have in common.
struct TlsOpa::Shared {
  Context context;
};

void TlsOpa::run() {
  Shared shared{Context(SSL_CTX_new(TLS_server_method()))};
  const Context& context = shared.context;
  SSL_CTX_use_certificate_file(context.get(), options_.credentials.cert_file.c_str(),
                               SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(context.get(), options_.credentials.key_file.c_str(),
                              SSL_FILETYPE_PEM);
  SSL_CTX_set_min_proto_version(context.get(), 0);
  SSL_CTX_set_security_level(context.get(), 0);
  if (options_.newest != 0) SSL_CTX_set_max_proto_version(context.get(), options_.newest);
  if (!options_.client_ca_file.empty()) {
    SSL_CTX_load_verify_file(context.get(), options_.client_ca_file.c_str());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // Without one there are no sessions where a certificate is asked for.
    const std::array<unsigned char, 1> name{'x'};
    SSL_CTX_set_session_id_context(context.get(), name.data(), name.size());
  }
  while (wait_for(listener_.get())) {
    const net::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) serve(fd.get(), shared);
  }
}

void TlsOpa::serve(int fd, Shared& shared) {
  const Ssl ssl(SSL_new(shared.context.get()));
  SSL_set_fd(ssl.get(), fd);
  if (SSL_accept(ssl.get()) != 1) return;
  if (SSL_session_reused(ssl.get()) == 1) ++resumed_;
  std::array<char, 4096> buffer{};
  // A question comes in one record.
  while (wait_for(fd) && SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size())) > 0) {
    std::string_view left = options_.answer;
    while (!left.empty()) {
      const std::string_view piece = left.substr(0, options_.piece);
      if (SSL_write(ssl.get(), piece.data(), static_cast<int>(piece.size())) <= 0) return;
      left.remove_prefix(piece.size());
    }
    if (options_.cut) return;
  }
}

}  // namespace warder::testing
