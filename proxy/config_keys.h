#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config.h"

namespace warder::proxy {

// One key of the configuration: the file, the environment, the flags and docs/config.md are all
// made from this table, and nothing else knows a key's name.
struct Key {
  enum class Shape {
    scalar,
    list,     // of scalars
    entries,  // list of mappings with one key each, one of `entries`; the value is "key:value"
  };

  struct Entry {
    std::string_view name;
    bool is_text;
  };

  std::string_view name = {};  // "opa.url", or "workers" at the top level
  Shape shape = Shape::scalar;
  // Whether YAML may quote the value: a quoted number or boolean is a string and thus an error.
  bool is_text = true;
  std::span<const Entry> entries = {};
  std::string_view flag = {};  // "--opa"; empty where there is none
  std::string_view flag_value = {};
  std::string_view doc = {};

  // Takes one value for a scalar, any number for a list, and returns what is wrong with them.
  std::string (*set)(Config& config, const std::vector<std::string>& values) = nullptr;
  // The values `config` has, as `set` takes them.
  std::vector<std::string> (*get)(const Config& config) = nullptr;
};

[[nodiscard]] std::span<const Key> config_keys();
[[nodiscard]] const Key* find_key(std::string_view name);  // nullptr: there is none
[[nodiscard]] const Key* find_key_of_flag(std::string_view flag);

// "opa.url" is WARDER_OPA_URL.
[[nodiscard]] std::string environment_name(const Key& key);

// docs/config.md.
[[nodiscard]] std::string config_reference();

}  // namespace warder::proxy
