#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "proxy/policy_source.h"

namespace warder::proxy {

// `warder policy check` and `warder policy build`. CLI11 keeps references to its parts, so it stays
// where it is.
class PolicyCommands {
 public:
  PolicyCommands() = default;
  PolicyCommands(const PolicyCommands&) = delete;
  PolicyCommands& operator=(const PolicyCommands&) = delete;

  void declare(CLI::App& app);
  [[nodiscard]] bool parsed() const { return policy_->parsed(); }
  // The one whose help a wrong use gets.
  [[nodiscard]] const CLI::App& at() const;
  // The exit code: 0 well, 1 the policies have errors, 2 they could not be looked at.
  [[nodiscard]] int run() const;

 private:
  void declare_source(CLI::App& app);
  [[nodiscard]] int check() const;
  [[nodiscard]] int build() const;

  CLI::App* policy_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* build_ = nullptr;
  PolicySource source_;
  std::string root_, user_, out_;
  bool json_ = false;
};

}  // namespace warder::proxy
