#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "net/result.h"
#include "net/unique_fd.h"

struct bpf_link;
struct bpf_object;

namespace warder::identity::bpf {

struct CloseObject {
  void operator()(bpf_object* object) const;
};
struct CloseLink {
  void operator()(bpf_link* link) const;
};
using Link = std::unique_ptr<bpf_link, CloseLink>;

// One compiled file in the kernel: its maps and its one program. Both are gone from the kernel when
// this and the links are. What libbpf has to say is in the errors; nothing is printed.
class Object {
 public:
  struct Source {
    const char* name;
    std::span<const char> bytes;
    const char* map = nullptr;      // whose size is set, if any
    std::uint32_t map_entries = 0;  // to this
  };
  [[nodiscard]] static Result<Object> load(const Source& source);

  // Descriptors that live as long as this. Errors: system, when there is none of that name.
  [[nodiscard]] Result<int> map(const char* name) const;
  [[nodiscard]] Result<int> program(const char* name) const;
  // Runs the program of that name from now on, as its section says.
  [[nodiscard]] Result<Link> attach(const char* name) const;

 private:
  explicit Object(bpf_object* object) : object_(object) {}
  std::unique_ptr<bpf_object, CloseObject> object_;
};

}  // namespace warder::identity::bpf
