if(WARDER_SANITIZERS)
  add_compile_options(-fsanitize=${WARDER_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WARDER_SANITIZERS})
  if(WARDER_SANITIZERS MATCHES undefined)
    # Its check reads an object through a pipe; without a descriptor left for one it reports a good
    # object as a bad one, and tests take all descriptors away on purpose.
    add_compile_options(-fno-sanitize=vptr)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # gcc(1), -fsanitize: false positives; here about an empty std::optional that std::sort copies.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
endif()
if(WARDER_FUZZ)
  # Coverage of our own code for libFuzzer; the harnesses bring its main().
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
