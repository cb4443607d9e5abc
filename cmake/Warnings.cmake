# warder_warnings: what every target of the project is compiled with. Whether a warning is an error
# is the preset's to say (CMAKE_COMPILE_WARNING_AS_ERROR).
add_library(warder_warnings INTERFACE)
target_compile_options(warder_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Wold-style-cast -Wcast-align -Wformat=2 -Wimplicit-fallthrough)
