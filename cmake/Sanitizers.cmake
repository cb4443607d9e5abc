if(WARDER_SANITIZERS)
  add_compile_options(-fsanitize=${WARDER_SANITIZERS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WARDER_SANITIZERS})
endif()
