#pragma once

#include <cstdio>
#include <cstdlib>

// A property of a harness. Holds in every build type, unlike assert(3); libFuzzer reports the abort
// with the input that led to it.
#define REQUIRE_THAT(condition)                                            \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)
