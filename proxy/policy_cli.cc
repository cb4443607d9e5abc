#include "proxy/policy_cli.h"

#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "proxy/policy_check.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

int report(const Error& error) {
  fmt::print(stderr, "warder: {}\n",
             visible(error.code == Errc::bad_config ? error.detail : describe(error)));
  return 2;
}

}  // namespace

void PolicyCommands::declare_source(CLI::App& app) {
  app.add_option("DIR", source_.directory, "Directory with the policies, as OPA loads it")
      ->required();
  app.add_option("--opa", source_.opa, "The OPA program")->type_name("PROGRAM");
  app.add_option("--policy", source_.package,
                 "The policy package, where it is not rego/egress beside this program")
      ->type_name("DIR");
}

void PolicyCommands::declare(CLI::App& app) {
  policy_ = app.add_subcommand("policy", "Check policies, or build them into an index");
  policy_->require_subcommand(1);
  check_ = policy_->add_subcommand("check", "Say what is wrong with policies");
  declare_source(*check_);
  auto* root = check_->add_option("--root", root_,
                                  "A sandbox's root directory: say what the programs are there");
  root->type_name("PATH");
  check_->add_option("--user", user_, "Who runs there: say what that user could change")
      ->type_name("UID[:GID]")
      ->needs(root);
  check_->add_flag("--json", json_, "One JSON object");
  build_ = policy_->add_subcommand("build", "Write an index of policies, for OPA to load instead");
  declare_source(*build_);
  build_->add_option("-o,--out", out_, "Directory that gets the data.json")
      ->type_name("OUT")
      ->required();
}

const CLI::App& PolicyCommands::at() const {
  if (check_->parsed()) return *check_;
  return build_->parsed() ? *build_ : *policy_;
}

int PolicyCommands::run() const { return check_->parsed() ? check() : build(); }

int PolicyCommands::check() const {
  std::optional<RootSpec> root;
  if (!root_.empty()) root = RootSpec{root_, std::nullopt};
  if (root && !user_.empty()) {
    const auto user = parse_user(user_);
    if (!user) return report(user.error());
    root->user = *user;
  }
  const auto checked = check_policy(source_, root);
  if (!checked) return report(checked.error());
  fmt::print("{}", json_ ? as_json(*checked) : as_text(*checked));
  return has_errors(*checked) ? 1 : 0;
}

int PolicyCommands::build() const {
  const auto built = build_policy(source_, out_);
  if (!built) {
    report(built.error());
    return 1;
  }
  fmt::print(stderr, "{}", lines_of(built->warnings));
  fmt::print("{}\n", visible(built->revision));
  return 0;
}

}  // namespace warder::proxy
