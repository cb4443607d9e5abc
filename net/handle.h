#pragma once

#include <uv.h>

#include <memory>

namespace warder::net {

// uv_close is asynchronous, so a libuv handle outlives its owner: it is stored apart and frees
// itself in its close callback. After the owner is gone no callback but that one runs.
template <class H>
struct CloseHandle {
  void operator()(H* handle) const {
    handle->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<H*>(closed); });
  }
};

template <class H>
using Handle = std::unique_ptr<H, CloseHandle<H>>;

}  // namespace warder::net
