#pragma once

#include <cstddef>
#include <cstdint>

#include "identity/identity.h"
#include "net/result.h"

namespace warder::identity {

// A file as stat(2) showed it. Two equal ones have the same content, if the clock of the file
// system moved between its changes.
struct FileState {
  FileId id;
  std::uint64_t size = 0;
  std::int64_t modified = 0, changed = 0;  // nanoseconds since 1970
  bool regular = false;
  bool link = false;  // a symbolic one
  friend bool operator==(const FileState&, const FileState&) = default;
};

struct FileStateHash {
  std::size_t operator()(const FileState& state) const;
};

// Of what `path` names below `at`; `flags` as for statx(2). The file system is not asked anew for
// what it has cached. Errors: as from_errno() tells them, with `what` for the detail.
[[nodiscard]] Result<FileState> file_state(int at, const char* path, int flags, const char* what);

// Whether it was changed so shortly before now, by the system's clock, that another change could
// look the same.
[[nodiscard]] bool changed_just_now(const FileState& state);

}  // namespace warder::identity
