# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# The examples that use Boost.Asio. Its headers are large: what all of them need is compiled once.
add_library(weft_example_asio STATIC
  shared/asio.cpp
  shared/blocking.cpp
  shared/loopback.cpp
  shared/socket_stream.cpp)
target_compile_definitions(weft_example_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION)
target_link_libraries(weft_example_asio PUBLIC weft::weft weft_boost)
weft_warnings(weft_example_asio)

# An example whose output is tested. Further arguments: what it links.
function(weft_asio_example name)
  weft_example(${name})
  target_link_libraries(${name} PRIVATE weft_example_asio ${ARGN})
  weft_example_output_test(${name})
endfunction()

foreach(name IN ITEMS json_stream line_protocol qsort_await retry_timeout)
  weft_asio_example(${name})
endforeach()
if(WEFT_TEST_EVERYWHERE OR NOT CMAKE_CROSSCOMPILING) # one processor is enough for these
  foreach(name IN ITEMS blocks_and_lines file_walk strand_pool)
    weft_asio_example(${name})
  endforeach()
endif()

# Clang before 19, when it optimizes, miscompiles coroutines that another thread resumes while they are still suspending.
if(TARGET strand_pool AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  target_compile_options(strand_pool PRIVATE -O0 -U_FORTIFY_SOURCE)
endif()

# What these need is theirs, not weft's.
function(weft_asio_example_with package name libraries debian)
  if(${package}_FOUND)
    weft_asio_example(${name} ${libraries})
  else()
    weft_left_out("the example ${name}" "${package} (Debian: ${debian})")
  endif()
endfunction()

find_package(EXPAT QUIET)
find_package(OpenSSL 3 QUIET COMPONENTS SSL Crypto)
find_package(SQLite3 QUIET)
find_package(Lua 5.3 QUIET)
find_path(WEFT_ZSTD_INCLUDE zstd.h)
find_library(WEFT_ZSTD zstd)
mark_as_advanced(WEFT_ZSTD_INCLUDE WEFT_ZSTD)
set(ZSTD_FOUND "${WEFT_ZSTD}")
weft_asio_example_with(EXPAT expat_await EXPAT::EXPAT libexpat1-dev)
weft_asio_example_with(OPENSSL openssl_bio OpenSSL::SSL libssl-dev)
if(TARGET SQLite3::SQLite3) # its name since CMake 4.3
  weft_asio_example_with(SQLite3 sqlite_await SQLite3::SQLite3 libsqlite3-dev)
else()
  weft_asio_example_with(SQLite3 sqlite_await SQLite::SQLite3 libsqlite3-dev)
endif()
weft_asio_example_with(LUA lua_scripts "${LUA_LIBRARY};${CMAKE_DL_LIBS}" liblua5.4-dev) # and libm, which C++ has anyway
weft_asio_example_with(ZSTD zstd_pipe "${WEFT_ZSTD}" libzstd-dev)
if(TARGET lua_scripts)
  target_include_directories(lua_scripts SYSTEM PRIVATE "${LUA_INCLUDE_DIR}")
endif()
if(TARGET zstd_pipe)
  target_include_directories(zstd_pipe SYSTEM PRIVATE "${WEFT_ZSTD_INCLUDE}")
endif()
