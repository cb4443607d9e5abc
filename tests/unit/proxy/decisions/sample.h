#pragma once

#include <string>

namespace warder::decisions::sample {

// One event as OPA 1.22 prints it on its console for a question of Warder's, without the line feed.
struct EventLine {
  std::string decision_id = "9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5";
  std::string request_id = "0123456789abcdef0123456789abcdef";
  std::string timestamp = "2026-11-27T06:30:00.123456789Z";
  std::string host = "api.example.com";
  std::string port = "443";
  std::string binary = "\"/usr/bin/python3.11\"";  // JSON
  std::string reason = "no endpoint for api.example.com:443";
  std::string path = "egress/decision";
  std::string allow = "false";
  std::string policy = "null";    // JSON
  std::string revision = "null";  // JSON
  std::string more = {};          // further members of the event, each with a comma in front

  [[nodiscard]] std::string text() const;
};

// Warder's record of it.
struct RecordLine {
  std::string decision_id = "\"9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5\"";  // JSON
  std::string request_id = "0123456789abcdef0123456789abcdef";
  std::string decision = "deny";
  std::string code = "denied";
  std::string reused = "false";
  std::string host = "api.example.com";

  [[nodiscard]] std::string text() const;
};

// `text` as a JSON string, with everything escaped that can be.
[[nodiscard]] std::string quoted(const std::string& text);

}  // namespace warder::decisions::sample
