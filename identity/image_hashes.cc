#include "identity/image_hashes.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "identity/image_file.h"
#include "identity/lru.h"

namespace warder::identity {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kMostStuck = 4;

std::string too_large(std::size_t limit) {
  return "the image is larger than " + std::to_string(limit) + " bytes";
}

}  // namespace

ImageHash HashLimits::late() const {
  return {{}, "not hashed within " + std::to_string(timeout.count()) + " ms"};
}

// One image that is wanted.
struct ImageHashes::Job {
  pid_t pid = 0;
  FileId image;
  Clock::time_point deadline;
  std::vector<std::shared_ptr<Waiter>> waiters;  // guarded by the mutex
  std::optional<ImageFile> file;                 // the reading thread's alone

  [[nodiscard]] bool wanted() const {
    return std::any_of(waiters.begin(), waiters.end(),
                       [](const auto& waiter) { return waiter->wanted(); });
  }
  void answer(const ImageHash& hash) {
    for (const auto& waiter : waiters) waiter->hashed(image, hash);
    waiters.clear();
  }
};

// What the thread that reads shares with the others; it may outlive ImageHashes.
struct ImageHashes::Shared {
  Shared(net::UniqueFd root, HashLimits most)
      : proc_root(std::move(root)), limits(most), hashes(most.max_kept) {}

  const net::UniqueFd proc_root;
  const HashLimits limits;
  std::mutex mutex;  // guards what follows
  std::condition_variable wake, idle;
  Lru<FileState, std::string, FileStateHash> hashes;
  std::deque<std::shared_ptr<Job>> jobs;  // in the order of their next slices
  std::shared_ptr<Job> current;           // whose slice is being read
  Clock::time_point slice_began;          // of `current`
  std::uint64_t generation = 0;           // of the thread that reads; others have been given up
  unsigned stuck = 0;                     // given up, and not back yet
  std::uint64_t read_count = 0;
  bool stopping = false;

  // One slice, without the mutex. nullopt: there is more to read.
  [[nodiscard]] std::optional<ImageHash> advance(Job& job);
  [[nodiscard]] std::optional<ImageHash> begin(Job& job);
  [[nodiscard]] std::optional<std::string> kept(const FileState& state) {
    const std::lock_guard lock(mutex);
    const std::string* const found = hashes.find(state);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
};

std::optional<ImageHash> ImageHashes::Shared::begin(Job& job) {
  auto file = ImageFile::open(proc_root.get(), job.pid, job.image, limits.max_bytes);
  if (!file) return ImageHash{{}, cause_of(file.error())};
  if (auto hash = kept(file->state())) return ImageHash{std::move(hash), {}};
  job.file.emplace(std::move(*file));
  const std::lock_guard lock(mutex);
  ++read_count;
  return std::nullopt;
}

std::optional<ImageHash> ImageHashes::Shared::advance(Job& job) {
  if (Clock::now() >= job.deadline) return limits.late();
  if (!job.file)
    if (auto answer = begin(job)) return answer;
  auto done = job.file->read_slice();
  if (!done) return ImageHash{{}, cause_of(done.error())};
  if (!*done) return std::nullopt;
  if (!job.file->fresh()) {
    const std::lock_guard lock(mutex);
    hashes.put(job.file->state(), **done);
  }
  return ImageHash{std::move(*done), {}};
}

ImageHashes::ImageHashes(net::UniqueFd proc_root, HashLimits limits)
    : shared_(std::make_shared<Shared>(std::move(proc_root), limits)),
      thread_([shared = shared_] { work(shared, 0); }) {}

ImageHashes::~ImageHashes() {
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  shared_->jobs.clear();
  shared_->wake.notify_all();
  const bool idle = shared_->idle.wait_for(lock, shared_->limits.timeout,
                                           [this] { return shared_->current == nullptr; });
  if (!idle) shared_->current->waiters.clear();
  lock.unlock();
  if (idle)
    thread_.join();
  else
    thread_.detach();
}

const HashLimits& ImageHashes::limits() const { return shared_->limits; }

std::uint64_t ImageHashes::read_count() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->read_count;
}

unsigned ImageHashes::stuck() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->stuck;
}

std::optional<ImageHash> ImageHashes::known(pid_t pid, const FileId& image) const {
  const auto state = image_state(shared_->proc_root.get(), pid);
  if (!state) return std::nullopt;
  if (state->id != image) return std::nullopt;
  if (state->size > shared_->limits.max_bytes)
    return ImageHash{{}, too_large(shared_->limits.max_bytes)};
  auto hash = shared_->kept(*state);
  if (!hash) return std::nullopt;
  return ImageHash{std::move(hash), {}};
}

void ImageHashes::look_after() {
  const std::lock_guard lock(shared_->mutex);
  (void)replace_stuck();
}

void ImageHashes::compute(pid_t pid, const FileId& image, std::shared_ptr<Waiter> waiter) {
  const std::lock_guard lock(shared_->mutex);
  if (!replace_stuck())
    return waiter->hashed(image, {{}, "file systems that don't answer hold up all hashing"});
  std::deque<std::shared_ptr<Job>>& jobs = shared_->jobs;
  const auto same = [&image](const auto& job) { return job != nullptr && job->image == image; };
  if (same(shared_->current)) return shared_->current->waiters.push_back(std::move(waiter));
  const auto waiting = std::find_if(jobs.begin(), jobs.end(), same);
  if (waiting != jobs.end()) return (*waiting)->waiters.push_back(std::move(waiter));
  if (jobs.size() >= shared_->limits.max_images)
    std::erase_if(jobs, [](const auto& job) { return !job->wanted(); });
  if (jobs.size() >= shared_->limits.max_images)
    return waiter->hashed(image, {{}, "too many images are being hashed"});
  auto job = std::make_shared<Job>();
  job->pid = pid;
  job->image = image;
  job->deadline = Clock::now() + shared_->limits.timeout;
  job->waiters.push_back(std::move(waiter));
  jobs.push_back(std::move(job));
  shared_->wake.notify_all();
}

// With the mutex held. Whether there is a thread that reads.
bool ImageHashes::replace_stuck() {
  Shared& shared = *shared_;
  if (!shared.current || Clock::now() - shared.slice_began < shared.limits.slice) return true;
  if (shared.stuck >= kMostStuck) return false;
  std::thread next;
  try {
    next = std::thread(
        [owner = shared_, generation = shared.generation + 1] { work(owner, generation); });
  } catch (const std::system_error&) {
    return false;  // RLIMIT_NPROC, or the limit of a control group
  }
  shared.current->answer({{}, "its file system does not answer"});
  shared.current.reset();
  ++shared.stuck;
  ++shared.generation;
  thread_.detach();
  thread_ = std::move(next);
  return true;
}

void ImageHashes::work(const std::shared_ptr<Shared>& shared, std::uint64_t generation) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    shared->wake.wait(lock, [&] { return shared->stopping || !shared->jobs.empty(); });
    if (shared->stopping) return;
    const std::shared_ptr<Job> job = std::move(shared->jobs.front());
    shared->jobs.pop_front();
    if (!job->wanted()) continue;
    shared->current = job;
    shared->slice_began = Clock::now();
    lock.unlock();
    auto answer = shared->advance(*job);
    lock.lock();
    if (shared->generation != generation) {
      --shared->stuck;
      return;
    }
    shared->current.reset();
    if (shared->stopping) return shared->idle.notify_all();
    if (answer)
      job->answer(*answer);
    else
      shared->jobs.push_back(job);
  }
}

}  // namespace warder::identity
