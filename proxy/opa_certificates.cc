#include "proxy/opa_certificates.h"

#include <chrono>
#include <optional>
#include <utility>

namespace warder::proxy {
namespace {

constexpr std::chrono::seconds kEvery{1};
constexpr const char* kEvent = "opa_certificates";

}  // namespace

OpaCertificates::OpaCertificates(net::Loop& loop, std::shared_ptr<tls::RenewableContext> context,
                                 RecordSink& records)
    : context_(std::move(context)), records_(records), timer_(loop, [this] { look(); }) {}

void OpaCertificates::start() { timer_.start(kEvery); }

void OpaCertificates::look() {
  if (const std::optional<Result<void>> news = context_->look()) {
    records_.write(
        *news ? Diagnostic{LogLevel::info,
                           kEvent,
                           "The certificate files for OPA have changed: new connections use them.",
                           {}}
              : Diagnostic{LogLevel::error,
                           kEvent,
                           "The certificate files for OPA have changed and are no good: those read "
                           "before stay in use.",
                           {{"detail", describe(news->error())}}});
  }
  timer_.start(kEvery);
}

}  // namespace warder::proxy
