#include "sample.h"

#include <fmt/format.h>

namespace warder::decisions::sample {

std::string EventLine::text() const {
  return R"({"decision_id":")" + decision_id + R"(","input":{"ancestors":["/usr/bin/bash"],)" +
         R"("binary":)" + binary + R"(,"client":{"address":"10.9.0.2","port":40112},"host":")" +
         host + R"(","identity":{"assurance":"proven","causes":[],"detail":"","grade":"exact",)" +
         R"("method":"sock_diag","processes":[{"ancestors":["/usr/bin/bash"],"binary":)" + binary +
         R"(,"container":"4f5a0c1d2e3f4f5a0c1d2e3f","gid":1000,"path":)" + binary +
         R"(,"pid":469,"role":["connector","holder"],"uid":1000}],"reason":null,"relays":false,)" +
         R"("scope":"pid:469","via":[],"via_complete":true},"port":)" + port +
         R"(,"request":{"doubts":[],"kind":"connect","method":"CONNECT","path":null},)" +
         R"("request_id":")" + request_id + R"(","sha256":null},"labels":{"id":"9ad6b4bb",)" +
         R"("version":"1.22.2"},"level":"info","metrics":{"timer_rego_query_eval_ns":783278,)" +
         R"("timer_server_handler_ns":1305525},"msg":"Decision Log","path":")" + path +
         R"(","result":{"allow":)" + allow + R"(,"policy":)" + policy + R"(,"reason":")" + reason +
         R"(","revision":)" + revision + R"(,"would_deny":false},"timestamp":")" + timestamp +
         R"(","type":"openpolicyagent.org/decision_logs")" + more + "}";
}

std::string RecordLine::text() const {
  return R"({"ts":"2026-11-27T06:30:00.123999Z","seq":7,"level":"warn","event":"decision",)"
         R"("decision":")" +
         decision + R"(","code":")" + code + R"(","reason":"no endpoint","binary":)" +
         R"("/usr/bin/python3.11","pid":469,"uid":1000,"host":")" + host +
         R"(","port":443,"kind":"connect","grade":"exact","assurance":"proven",)" +
         R"("container":"4f5a0c1d2e3f","policy":null,"would_deny":false,"reused":)" + reused +
         R"(,"decision_id":)" + decision_id + R"(,"request_id":")" + request_id +
         R"(","client":"10.9.0.2:40112","status":403,"identity_us":90,"opa_us":1500})";
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
  return out + '"';
}

}  // namespace warder::decisions::sample
