#include "identity/bpf/object.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <utility>

namespace warder::identity::bpf {
namespace {

constexpr std::size_t kLongestLog = 2000;

// libbpf knows one function for the whole process, called on the thread that asked.
thread_local std::string* capturing = nullptr;

__attribute__((format(printf, 2, 0))) int capture(libbpf_print_level level, const char* format,
                                                  va_list arguments) {
  if (level != LIBBPF_WARN || capturing == nullptr) return 0;
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  if (length > 0) {
    std::string text(static_cast<std::size_t>(length) + 1, '\0');
    std::vsnprintf(text.data(), text.size(), format, again);
    text.pop_back();
    *capturing += text;
    // The verifier's reason is at the end of its log.
    if (capturing->size() > kLongestLog) capturing->erase(0, capturing->size() - kLongestLog);
  }
  va_end(again);
  return length;
}

class LogCapture {
 public:
  LogCapture() {
    libbpf_set_print(capture);
    capturing = &text_;
  }
  ~LogCapture() { capturing = nullptr; }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  [[nodiscard]] tl::unexpected<Error> failure(int error, const std::string& what) const {
    return fail(from_errno(error, text_.empty() ? what : what + ": " + text_));
  }

 private:
  std::string text_;
};

}  // namespace

void CloseObject::operator()(bpf_object* object) const { bpf_object__close(object); }

void CloseLink::operator()(bpf_link* link) const { bpf_link__destroy(link); }

Result<Object> Object::load(const Source& source) {
  const LogCapture log;
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = source.name;
  bpf_object* const opened =
      bpf_object__open_mem(source.bytes.data(), source.bytes.size(), &options);
  if (opened == nullptr) return log.failure(errno, "opening the BPF object");
  Object object(opened);
  if (source.map != nullptr) {
    bpf_map* const map = bpf_object__find_map_by_name(opened, source.map);
    if (map == nullptr || bpf_map__set_max_entries(map, source.map_entries) != 0)
      return log.failure(EINVAL, "setting the size of a BPF map");
  }
  const int failed = bpf_object__load(opened);
  if (failed != 0) return log.failure(-failed, "loading the BPF program");
  return object;
}

Result<int> Object::map(const char* name) const {
  const int fd = bpf_object__find_map_fd_by_name(object_.get(), name);
  if (fd < 0) return fail(from_errno(-fd, std::string("BPF map ") + name));
  return fd;
}

Result<int> Object::program(const char* name) const {
  const bpf_program* const program = bpf_object__find_program_by_name(object_.get(), name);
  if (program == nullptr) return fail(from_errno(EINVAL, std::string("BPF program ") + name));
  return bpf_program__fd(program);
}

Result<Link> Object::attach(const char* name) const {
  const LogCapture log;
  const bpf_program* const program = bpf_object__find_program_by_name(object_.get(), name);
  if (program == nullptr) return log.failure(EINVAL, std::string("BPF program ") + name);
  Link link(bpf_program__attach(program));
  if (link == nullptr) return log.failure(errno, "attaching the BPF program");
  return link;
}

}  // namespace warder::identity::bpf
