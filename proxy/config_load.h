#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/result.h"
#include "proxy/config.h"

namespace warder::proxy {

// Where values come from beside the defaults, in rising order.
struct Overrides {
  std::optional<std::string> file;
  std::vector<std::string> environment;  // "NAME=value", as in environ(7)
  // A flag of the key table and all the values it was given.
  std::vector<std::pair<std::string, std::vector<std::string>>> flags;
};

// Defaults, then the file, the environment and the flags. A WARDER_ variable that is not a key is
// a warning and not an error: container platforms put such variables into every process once a
// service is called "warder". Errors: bad_config with "file:line: key: what is wrong" ("VARIABLE:
// key: …", "--flag: key: …"); also when the file cannot be read.
[[nodiscard]] Result<Config> load_config(const Overrides& overrides);

// The same from the text of a file alone; `name` is for messages.
[[nodiscard]] Result<Config> parse_config(const std::string& text, const std::string& name);

}  // namespace warder::proxy
