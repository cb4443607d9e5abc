#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "identity/identity.h"
#include "net/unique_fd.h"

namespace warder::identity {

struct ImageHash {
  std::optional<std::string> sha256;
  std::string missing;  // why there is none
  friend bool operator==(const ImageHash&, const ImageHash&) = default;
};

struct HashLimits {
  std::size_t max_bytes = std::size_t{1} << 30;  // of an image
  std::chrono::milliseconds timeout{3000};       // of one image, waiting included
  // Of one slice: after it the file system is taken for one that doesn't answer.
  std::chrono::milliseconds slice{750};
  std::size_t max_images = 64;  // read at the same time
  std::size_t max_kept = 4096;  // hashes

  // What is told of an image whose time is over.
  [[nodiscard]] ImageHash late() const;
};

// SHA-256 of running images, opened as /proc/<pid>/exe: so also of one that was removed, or whose
// path leads elsewhere. A hash is kept by the file's device, inode, size and times of change, and
// not at all when the file was changed just before it was read: the clock of a file system is
// coarse.
//
// A thread of its own reads, a slice of each image in turn: a small one does not wait for a huge
// one. A file system that doesn't answer costs that thread, and the next image gets another, a
// bounded number of times. No image on FUSE is hashed: its owner may give us other bytes than the
// processor.
class ImageHashes {
 public:
  // Whoever waits for a hash. Called on the thread that reads.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // Whether the answer is still wanted. An image that nobody wants is not read on.
    [[nodiscard]] virtual bool wanted() const = 0;
    // At most once for each call of compute(); never after the destructor has begun.
    virtual void hashed(const FileId& image, const ImageHash& hash) = 0;
  };

  // `proc_root` is an open directory.
  ImageHashes(net::UniqueFd proc_root, HashLimits limits);
  // Waits for a slice that is being read, but not for a file system that doesn't answer.
  ~ImageHashes();
  ImageHashes(const ImageHashes&) = delete;
  ImageHashes& operator=(const ImageHashes&) = delete;

  [[nodiscard]] const HashLimits& limits() const;

  // What can be told of the image of process `pid` without opening it; nullopt when it must be
  // read. Any thread.
  [[nodiscard]] std::optional<ImageHash> known(pid_t pid, const FileId& image) const;

  // Has it read, once for all that wait for it. Any thread.
  void compute(pid_t pid, const FileId& image, std::shared_ptr<Waiter> waiter);

  // Gives the thread up, and goes on with another, when one slice takes too long. To be called now
  // and then by whoever waits. Any thread.
  void look_after();

  // How many images were read from their beginning. Any thread.
  [[nodiscard]] std::uint64_t read_count() const;
  // How many threads wait for a file system that doesn't answer. Any thread.
  [[nodiscard]] unsigned stuck() const;

 private:
  struct Job;
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared, std::uint64_t generation);
  bool replace_stuck();

  std::shared_ptr<Shared> shared_;
  std::thread thread_;  // guarded by the mutex of shared_
};

}  // namespace warder::identity
