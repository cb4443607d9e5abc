#include "net/offload.h"

#include <utility>

#include "net/check.h"

namespace warder::net {
namespace {

class Work;

// Lives until libuv is done with the request, whatever becomes of the handle.
struct Pending {
  uv_work_t request{};
  std::function<void()> work;
  std::function<void()> done;
  Work* owner = nullptr;
};

class Work final : public Offload {
 public:
  explicit Work(Pending* pending) : pending_(pending) { pending_->owner = this; }
  ~Work() override {
    if (pending_ == nullptr) return;
    pending_->owner = nullptr;
    // Succeeds only while the work waits for a thread; the completion comes in either case.
    uv_cancel(reinterpret_cast<uv_req_t*>(&pending_->request));
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  void forget() { pending_ = nullptr; }

 private:
  Pending* pending_;
};

void complete(uv_work_t* request, int /*status*/) {
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(request->data));
  if (pending->owner == nullptr) return;
  pending->owner->forget();
  const auto done = std::move(pending->done);
  done();
}

}  // namespace

std::unique_ptr<Offload> offload(Loop& loop, std::function<void()> work,
                                 std::function<void()> done) {
  auto pending = std::make_unique<Pending>();
  pending->work = std::move(work);
  pending->done = std::move(done);
  pending->request.data = pending.get();
  check(
      uv_queue_work(
          loop.uv(), &pending->request,
          [](uv_work_t* request) { static_cast<Pending*>(request->data)->work(); }, &complete) == 0,
      "uv_queue_work failed");
  return std::make_unique<Work>(pending.release());
}

}  // namespace warder::net
