if(WARDER_SANITIZERS)
  add_compile_options(-fsanitize=${WARDER_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WARDER_SANITIZERS})
endif()
if(WARDER_FUZZ)
  # Coverage of our own code for libFuzzer; the harnesses bring its main().
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
