#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/decisions/event.h"

namespace warder::decisions {

// Places in the documents where there is something to read.
enum class Node : std::uint8_t {
  nowhere,
  root,
  input,
  request,
  client,
  identity,
  processes,
  process,
  result,
  bundles,
  bundle,
  metrics,
  bytes,
};

// What a key at a place leads to.
struct Slot {
  Field field = Field::none;    // for a value that is no object or list
  Node object = Node::nowhere;  // for an object
  Node list = Node::nowhere;    // for a list
  Field nested = Field::none;   // to note that it was an object or a list
};

[[nodiscard]] Slot slot_of(Node node, std::string_view key);

}  // namespace warder::decisions
