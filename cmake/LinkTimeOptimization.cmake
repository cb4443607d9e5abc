# warder_lto: for whoever is linked with link-time optimisation. The libraries' objects hold machine code besides what that needs,
# so that the many test programs are linked as ever, and fast.
add_library(warder_lto_objects INTERFACE)
add_library(warder_lto INTERFACE)
if(WARDER_LTO AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  message(STATUS "WARDER_LTO is for GCC: not with ${CMAKE_CXX_COMPILER_ID}, whose objects would hold no machine code")
elseif(WARDER_LTO)
  target_compile_options(warder_lto_objects INTERFACE -flto=auto -ffat-lto-objects)
  target_link_options(warder_lto INTERFACE -flto=auto)
  # Unless told so the linker optimises whatever objects let it. Before the option above in every command.
  add_link_options(-fno-lto)
  # GCC's plugin, which ar and ranlib load by themselves, lists what the optimised form defines; some of that is not in the machine
  # code (inline functions), and whoever is linked from that would have an object loaded a second time for it.
  set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_RANLIB> --plugin /dev/null <TARGET>")
endif()
