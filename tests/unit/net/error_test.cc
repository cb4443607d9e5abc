#include "net/error.h"

#include <catch2/catch_test_macros.hpp>
#include <cerrno>

namespace warder {

TEST_CASE("the cause of an error is what the system said, or what is told instead") {
  CHECK(cause_of(from_errno(EACCES, "stat")) == "Permission denied");
  CHECK(cause_of(Error{Errc::not_found, 0, "it has ended"}) == "it has ended");
  CHECK(cause_of(Error{Errc::system, 123456, "no such number"}) == "no such number");
}

}  // namespace warder
