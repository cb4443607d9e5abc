# Every library the project uses, each under one dep:: name, so that where it comes from can change in
# one place. Debian ships several with pkg-config files only, and one with no target at all.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(tl-expected 1.0 REQUIRED)

function(warder_pkg_config name module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(dep_${name} INTERFACE)
  target_link_libraries(dep_${name} INTERFACE PkgConfig::${name})
  add_library(dep::${name} ALIAS dep_${name})
endfunction()

warder_pkg_config(uv libuv>=1.44)
warder_pkg_config(crypto libcrypto>=3.0)
warder_pkg_config(ssl libssl>=3.0)
warder_pkg_config(zlib zlib>=1.2.11)
warder_pkg_config(cares libcares>=1.18)
warder_pkg_config(mnl libmnl>=1.0)
warder_pkg_config(bpf libbpf>=1.1)
# Only by pkg-config: its defines change the layout of cpp-httplib's classes.
warder_pkg_config(httplib cpp-httplib>=0.11)
# The CMake package would pull in civetweb, zlib and curl; the metrics are served by our own admin.
warder_pkg_config(prometheus prometheus-cpp-core>=1.0)

# The static library: its CMake package exports only the shared one.
find_library(WARDER_LLHTTP NAMES libllhttp.a REQUIRED)
add_library(dep_llhttp INTERFACE)
target_link_libraries(dep_llhttp INTERFACE ${WARDER_LLHTTP})
add_library(dep::llhttp ALIAS dep_llhttp)

find_path(WARDER_RAPIDJSON rapidjson/document.h REQUIRED)
add_library(dep_rapidjson INTERFACE)
target_include_directories(dep_rapidjson SYSTEM INTERFACE ${WARDER_RAPIDJSON})
target_compile_definitions(dep_rapidjson INTERFACE RAPIDJSON_HAS_STDSTRING=1)
if(WARDER_SANITIZERS MATCHES "undefined")
  # internal/stack.h adds to the null pointer of a stack that is still empty before it compares.
  target_compile_options(dep_rapidjson INTERFACE -fno-sanitize=pointer-overflow)
endif()
add_library(dep::rapidjson ALIAS dep_rapidjson)

find_package(yaml-cpp 0.7 REQUIRED)
add_library(dep_yaml INTERFACE)
target_link_libraries(dep_yaml INTERFACE yaml-cpp)
add_library(dep::yaml ALIAS dep_yaml)

# It takes the place of malloc(3) for the whole program; nothing in it is called by name.
find_package(mimalloc 2.0 REQUIRED)
add_library(dep_mimalloc INTERFACE)
target_link_libraries(dep_mimalloc INTERFACE -Wl,--push-state,--no-as-needed mimalloc -Wl,--pop-state)
add_library(dep::mimalloc ALIAS dep_mimalloc)

find_package(CLI11 2.1 REQUIRED)
add_library(dep_cli11 INTERFACE)
target_link_libraries(dep_cli11 INTERFACE CLI11::CLI11)
add_library(dep::cli11 ALIAS dep_cli11)

add_library(dep_fmt INTERFACE)
target_link_libraries(dep_fmt INTERFACE fmt::fmt)
add_library(dep::fmt ALIAS dep_fmt)
add_library(dep_expected INTERFACE)
target_link_libraries(dep_expected INTERFACE tl::expected)
add_library(dep::expected ALIAS dep_expected)
add_library(dep_threads INTERFACE)
target_link_libraries(dep_threads INTERFACE Threads::Threads)
add_library(dep::threads ALIAS dep_threads)

# A library of the project: one per folder, its headers included from the top as "folder/file.h".
function(warder_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_PUBLIC} PRIVATE warder_warnings ${ARG_PRIVATE})
endfunction()
