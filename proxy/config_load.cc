#include "proxy/config_load.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string_view>

#include "opa-client/client.h"
#include "proxy/config_keys.h"
#include "proxy/config_values.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

using Values = std::vector<std::string>;
using Problem = std::optional<Error>;

constexpr std::size_t kMaxFileBytes = 1 << 20;

Error bad(std::string_view where, std::string_view key, std::string_view what) {
  return Error{Errc::bad_config, 0,
               key.empty() ? fmt::format("{}: {}", where, what)
                           : fmt::format("{}: {}: {}", where, visible(key), what)};
}

// Applies one YAML document to a Config. yaml-cpp keeps every pair of a mapping with a repeated
// key and finds the first, so each mapping's keys are compared here.
class FileReader {
 public:
  FileReader(Config& config, const std::string& name) : config_(config), name_(name) {}

  Problem read(const YAML::Node& root) {
    if (root.IsNull()) return std::nullopt;
    return read_mapping(root, "");
  }

 private:
  [[nodiscard]] Error wrong(const YAML::Node& node, std::string_view key,
                            std::string_view what) const {
    return bad(fmt::format("{}:{}", name_, node.Mark().line + 1), key, what);
  }

  Problem read_mapping(const YAML::Node& mapping, const std::string& section) {
    if (!mapping.IsMap()) return wrong(mapping, section, "must be a mapping of keys to values");
    Values seen;
    for (const auto& pair : mapping) {
      if (!pair.first.IsScalar()) return wrong(pair.first, section, "a key must be a plain word");
      const std::string& word = pair.first.Scalar();
      const std::string name = section.empty() ? word : fmt::format("{}.{}", section, word);
      for (const std::string& other : seen) {
        if (other == word) return wrong(pair.first, name, "is there twice");
      }
      seen.push_back(word);
      if (Problem problem = read_pair(pair.first, pair.second, name)) return problem;
    }
    return std::nullopt;
  }

  Problem read_pair(const YAML::Node& at, const YAML::Node& value, const std::string& name) {
    if (const Key* key = find_key(name)) return read_value(at, value, *key);
    for (const Key& key : config_keys()) {
      const bool is_section = key.name.size() > name.size() && key.name[name.size()] == '.' &&
                              key.name.substr(0, name.size()) == name;
      if (!is_section) continue;
      if (value.IsNull()) return std::nullopt;  // all of it commented out
      return read_mapping(value, name);
    }
    return wrong(at, name, "is not a key");
  }

  Problem read_value(const YAML::Node& at, const YAML::Node& node, const Key& key) {
    Values values;
    if (key.shape == Key::Shape::scalar) {
      if (Problem problem = read_scalar(at, node, key.is_text, key.name, values)) return problem;
    } else {
      if (!node.IsSequence()) return wrong(at, key.name, "must be a list");
      for (const YAML::Node& item : node) {
        Problem problem = key.shape == Key::Shape::entries
                              ? read_entry(item, key, values)
                              : read_scalar(item, item, key.is_text, key.name, values);
        if (problem) return problem;
      }
    }
    const std::string problem = key.set(config_, values);
    if (!problem.empty()) return wrong(at, key.name, problem);
    return std::nullopt;
  }

  Problem read_scalar(const YAML::Node& at, const YAML::Node& node, bool is_text,
                      std::string_view name, Values& values) const {
    if (node.IsNull()) return wrong(at, name, "has no value");
    if (!node.IsScalar()) return wrong(at, name, "must be a single value");
    // yaml-cpp gives "!" for a quoted scalar, and "?" for a plain one.
    if (!is_text && node.Tag() != "?") return wrong(at, name, "must not be quoted or tagged");
    if (is_text && node.Tag() != "?" && node.Tag() != "!") {
      return wrong(at, name, "must not be tagged");
    }
    values.push_back(node.Scalar());
    return std::nullopt;
  }

  Problem read_entry(const YAML::Node& item, const Key& key, Values& values) const {
    std::string form = "must be a list of ";
    for (const Key::Entry& entry : key.entries) {
      form += fmt::format("{}{{ {}: … }}", &entry == key.entries.data() ? "" : " or ", entry.name);
    }
    if (!item.IsMap() || item.size() == 0) return wrong(item, key.name, form);
    const YAML::const_iterator::value_type pair = *item.begin();
    const auto entry =
        std::find_if(key.entries.begin(), key.entries.end(), [&](const Key::Entry& known) {
          return pair.first.IsScalar() && pair.first.Scalar() == known.name;
        });
    if (entry == key.entries.end()) return wrong(pair.first, key.name, form);
    // A repeated key counts too.
    if (item.size() > 1) return wrong(item, key.name, "must have one key in each entry");
    Values one;
    if (Problem problem = read_scalar(pair.first, pair.second, entry->is_text, key.name, one)) {
      return problem;
    }
    values.push_back(fmt::format("{}:{}", entry->name, one.front()));
    return std::nullopt;
  }

  Config& config_;
  const std::string& name_;
};

Problem apply_text(Config& config, const std::string& text, const std::string& name) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) return bad(name, "", "holds more than one YAML document");
    if (documents.empty()) return std::nullopt;
    return FileReader(config, name).read(documents.front());
  } catch (const YAML::Exception& error) {
    return bad(error.mark.is_null() ? name : fmt::format("{}:{}", name, error.mark.line + 1), "",
               "is not YAML: " + visible(error.msg));
  }
}

Problem apply_file(Config& config, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const int open_errno = errno;
  if (!file) return Error{Errc::bad_config, open_errno, path + ": cannot be opened"};
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return bad(path, "", "cannot be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) return bad(path, "", "is larger than 1 MiB");
  return apply_text(config, text, path);
}

Values split(std::string_view text) {
  Values items;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    std::string_view item = text.substr(from, comma - from);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    items.emplace_back(item);
    from = comma + 1;
  }
  return items;
}

const Key* find_key_of_variable(std::string_view name) {
  for (const Key& key : config_keys()) {
    if (environment_name(key) == name) return &key;
  }
  return nullptr;
}

Problem apply_environment(Config& config, const Values& environment) {
  for (const std::string& entry : environment) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || entry.rfind("WARDER_", 0) != 0) continue;
    const std::string name = entry.substr(0, equals);
    const std::string value = entry.substr(equals + 1);
    // Those of other commands: decisions/commands.cc.
    const bool other = name == "WARDER_DECISION_LOG" || name == "WARDER_RECORDS";
    if (name == "WARDER_CONFIG" || other || value.empty()) continue;
    const Key* key = find_key_of_variable(name);
    if (key == nullptr) {
      config.warnings.push_back("the environment variable " + visible(name) +
                                " is not a key and has no effect");
      continue;
    }
    const std::string problem =
        key->set(config, key->shape == Key::Shape::scalar ? Values{value} : split(value));
    if (!problem.empty()) return bad(name, key->name, problem);
  }
  return std::nullopt;
}

std::optional<std::string> file_of(const Overrides& overrides) {
  if (overrides.file) return overrides.file;
  constexpr std::string_view kVariable = "WARDER_CONFIG=";
  for (const std::string& entry : overrides.environment) {
    if (entry.rfind(kVariable, 0) == 0 && entry.size() > kVariable.size()) {
      return entry.substr(kVariable.size());
    }
  }
  return std::nullopt;
}

// Whoever reads along could ask as Warder does.
void warn_of_plain_token(Config& config) {
  const auto address = opa::parse_url(config.opa.url);
  if (config.opa.token_file.empty() || !address || address->tls ||
      address->kind == opa::Address::Kind::unix_socket) {
    return;
  }
  if (address->name.empty() && is_loopback(address->endpoint.address)) return;
  config.warnings.push_back(
      fmt::format("the bearer token of opa.token_file goes to {} in plain text: use https",
                  visible(config.opa.url)));
}

}  // namespace

Result<Config> load_config(const Overrides& overrides) {
  Config config;
  if (const auto file = file_of(overrides)) {
    if (Problem problem = apply_file(config, *file)) return fail(std::move(*problem));
  }
  if (Problem problem = apply_environment(config, overrides.environment)) {
    return fail(std::move(*problem));
  }
  for (const auto& [flag, values] : overrides.flags) {
    const Key* key = find_key_of_flag(flag);
    if (key == nullptr) return fail(bad(flag, "", "is not a flag"));
    const bool one = key->shape == Key::Shape::scalar;
    const std::string problem =
        one && values.size() != 1 ? "must be given once" : key->set(config, values);
    if (!problem.empty()) return fail(bad(flag, key->name, problem));
  }
  warn_of_plain_token(config);
  return config;
}

Result<Config> parse_config(const std::string& text, const std::string& name) {
  Config config;
  if (Problem problem = apply_text(config, text, name)) return fail(std::move(*problem));
  return config;
}

}  // namespace warder::proxy
