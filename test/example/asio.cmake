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
weft_asio_example_with(EXPAT expat_await EXPAT::EXPAT libexpat1-dev)
weft_asio_example_with(OPENSSL openssl_bio OpenSSL::SSL libssl-dev)
weft_asio_example_with(SQLite3 sqlite_await SQLite::SQLite3 libsqlite3-dev)

# Debian keeps the headers of OpenSSL that differ between processors in a folder of their own.
if(TARGET openssl_bio AND CMAKE_CROSSCOMPILING AND
    EXISTS "${OPENSSL_INCLUDE_DIR}/${CMAKE_LIBRARY_ARCHITECTURE}/openssl")
  target_include_directories(openssl_bio SYSTEM PRIVATE "${OPENSSL_INCLUDE_DIR}/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()
