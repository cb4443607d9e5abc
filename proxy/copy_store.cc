#include <algorithm>
#include <utility>

#include "proxy/pump.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kCapacity = 65536;

class CopyStore final : public PumpStore {
 public:
  explicit CopyStore(const std::string& first) : end_(first.size()) {
    if (first.empty()) return;
    buffer_ = std::make_unique_for_overwrite<char[]>(first.size());
    capacity_ = first.size();
    std::copy(first.begin(), first.end(), buffer_.get());
  }

  [[nodiscard]] std::size_t held() const override { return end_ - begin_; }

  [[nodiscard]] Result<net::Transfer> fill(int from, std::size_t most) override {
    if (capacity_ < kCapacity) {
      buffer_ = std::make_unique_for_overwrite<char[]>(kCapacity);
      capacity_ = kCapacity;
    }
    auto taken = net::read_some(from, std::span(buffer_.get(), std::min(most, capacity_)));
    begin_ = 0;
    end_ = taken ? taken->bytes : 0;
    return taken;
  }

  [[nodiscard]] Result<net::Transfer> drain(int to) override {
    auto given = net::write_some(to, std::span(buffer_.get() + begin_, held()));
    if (given) begin_ += given->bytes;
    return given;
  }

  // A tunnel that says nothing costs no buffer.
  void rest() override {
    if (held() > 0) return;
    buffer_.reset();
    capacity_ = 0;
  }

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace

std::unique_ptr<PumpStore> make_copy_store(const std::string& first) {
  return std::make_unique<CopyStore>(first);
}

}  // namespace warder::proxy
