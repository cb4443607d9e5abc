#pragma once

#include <mutex>
#include <string>

#include "net/resolv_conf.h"
#include "proxy/record.h"

namespace warder::proxy {

// Tells the log of whom names are asked. Each worker finds out for itself; it is told once.
class NameServersLog {
 public:
  // `records` outlives it.
  explicit NameServersLog(RecordSink& records) : records_(records) {}
  NameServersLog(const NameServersLog&) = delete;
  NameServersLog& operator=(const NameServersLog&) = delete;
  ~NameServersLog() = default;

  // Any thread.
  void tell(const net::NameServers& servers);

 private:
  RecordSink& records_;
  std::mutex mutex_;  // guards what follows
  net::NameServers told_;
};

}  // namespace warder::proxy
