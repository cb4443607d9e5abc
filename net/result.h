#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "net/error.h"

namespace warder {

// What every fallible function returns. tl::expected is [[nodiscard]] itself.
template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string detail) {
  return tl::unexpected<Error>(Error{code, 0, std::move(detail)});
}

}  // namespace warder
