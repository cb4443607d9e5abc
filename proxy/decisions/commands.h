#pragma once

#include <memory>

namespace CLI {
class App;
}  // namespace CLI

namespace warder::decisions {

// `warder decisions query|tail|top|stats|compare|show` and `warder why`: declared here, on the
// program's command line, which must outlive it.
class Commands {
 public:
  explicit Commands(CLI::App& program);
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;
  ~Commands();

  // Whether the line that was parsed asks for one of them: its part of the command line, for help;
  // or null. Also while parsing failed inside it.
  [[nodiscard]] const CLI::App* chosen() const;
  // Does what was asked for. The exit code: 2 for wrong usage, else as in options.h.
  [[nodiscard]] int run();

 private:
  struct Declared;
  std::unique_ptr<Declared> declared_;
};

}  // namespace warder::decisions
