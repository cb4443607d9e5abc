#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "identity/file_state.h"
#include "identity/identity.h"
#include "net/result.h"
#include "net/unique_fd.h"

struct evp_md_ctx_st;

namespace warder::identity {

// What /proc/<pid>/exe leads to. No file system is asked for what the kernel has cached. Errors:
// not_found when the process has ended (or its first thread: its others may show it), …
[[nodiscard]] Result<FileState> image_state(int proc_root, pid_t pid);

// An image being read for its SHA-256, a slice at a time.
class ImageFile {
 public:
  // By whichever thread of the process shows it. Errors: not_found: the process has ended; system:
  // it runs another image now; the image is on FUSE, no regular file, or larger than `max_bytes`.
  [[nodiscard]] static Result<ImageFile> open(int proc_root, pid_t pid, const FileId& image,
                                              std::size_t max_bytes);

  [[nodiscard]] const FileState& state() const { return state_; }
  // Whether it was changed so shortly before it was opened that another change could look the same.
  [[nodiscard]] bool fresh() const { return fresh_; }

  // Reads one slice. The hash when it was the last one. Errors: system, also when the file is not
  // as it was at the beginning.
  [[nodiscard]] Result<std::optional<std::string>> read_slice();

 private:
  struct DigestFree {
    void operator()(evp_md_ctx_st* context) const;
  };
  ImageFile(net::UniqueFd file, const FileState& state);
  [[nodiscard]] Result<std::optional<std::string>> finish();

  net::UniqueFd file_;
  FileState state_;
  bool fresh_ = false;
  std::uint64_t done_ = 0;
  std::unique_ptr<evp_md_ctx_st, DigestFree> digest_;
};

}  // namespace warder::identity
