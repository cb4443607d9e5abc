#pragma once

#include <memory>

#include "net/loop.h"
#include "net/timer.h"
#include "net/tls/renewable_context.h"
#include "proxy/record.h"

namespace warder::proxy {

// Has the files of what Warder and OPA show each other looked at once a second, and tells the log
// what came of it. Belongs to one loop.
class OpaCertificates {
 public:
  // `loop` and `records` outlive it.
  OpaCertificates(net::Loop& loop, std::shared_ptr<tls::RenewableContext> context,
                  RecordSink& records);
  OpaCertificates(const OpaCertificates&) = delete;
  OpaCertificates& operator=(const OpaCertificates&) = delete;
  ~OpaCertificates() = default;

  void start();

 private:
  void look();

  const std::shared_ptr<tls::RenewableContext> context_;
  RecordSink& records_;
  net::Timer timer_;
};

}  // namespace warder::proxy
