# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# The example that reads archives from sockets. libarchive, OpenSSL and CLI11 are its own needs, not weft's.
find_package(LibArchive QUIET)
find_package(OpenSSL QUIET COMPONENTS Crypto)
find_package(CLI11 QUIET)
if(NOT LibArchive_FOUND OR NOT OPENSSL_FOUND OR NOT CLI11_FOUND)
  weft_left_out("the tests example.unpack.*"
    "libarchive, OpenSSL and CLI11 (Debian: libarchive-dev, libssl-dev, libcli11-dev)")
  return()
endif()

weft_example(unpack)
target_link_libraries(unpack PRIVATE CLI11::CLI11 LibArchive::LibArchive OpenSSL::Crypto)

# A static libarchive does not bring what it uses: add what its package was built with, as far as it is there.
if(LibArchive_LIBRARIES MATCHES "\\.a$")
  foreach(library IN ITEMS nettle acl attr lz4 bz2 zstd xml2 icuuc icudata lzma z)
    find_library(WEFT_STATIC_${library} ${library})
    mark_as_advanced(WEFT_STATIC_${library})
    if(WEFT_STATIC_${library})
      target_link_libraries(unpack PRIVATE "${WEFT_STATIC_${library}}")
    endif()
  endforeach()
endif()

# It lists weft's own headers and sources, packed in three ways; tar and unzip say whether it is right.
set(samples)
foreach(format IN ITEMS tar.gz tar.xz zip)
  set(sample "${CMAKE_CURRENT_BINARY_DIR}/sample.${format}")
  set(how_tar.gz czf "${sample}" --format=gnutar)
  set(how_tar.xz cJf "${sample}" --format=pax)
  set(how_zip cf "${sample}" --format=zip)
  add_custom_command(OUTPUT "${sample}"
    COMMAND "${CMAKE_COMMAND}" -E tar ${how_${format}} include lib test
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    VERBATIM)
  list(APPEND samples "${sample}")
  weft_example_test(unpack.${format} unpack "${sample}")
endforeach()
add_custom_target(unpack_samples ALL DEPENDS ${samples})

# Names, links and holes that listings get wrong.
set(odd "${CMAKE_CURRENT_BINARY_DIR}/odd")
add_custom_command(OUTPUT "${odd}.tar" "${odd}.tar.gz" "${odd}.zip"
  COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/unpack/pack_odd_names" "${CMAKE_CURRENT_BINARY_DIR}" "${CMAKE_COMMAND}"
  DEPENDS unpack/pack_odd_names
  VERBATIM)
add_custom_target(unpack_odd_samples ALL DEPENDS "${odd}.tar" "${odd}.tar.gz" "${odd}.zip")
foreach(format IN ITEMS tar tar.gz zip)
  weft_example_test(unpack.odd.${format} unpack "${odd}.${format}")
endforeach()

# Streams that fail, at other places than in the runs above; streams that are destroyed while they are suspended.
set(sample "${CMAKE_CURRENT_BINARY_DIR}/sample.tar.gz")
foreach(conduct IN ITEMS truncate corrupt disconnect)
  weft_example_test(unpack.${conduct} unpack --no-verify --seed 7 --clients 4 --${conduct} 30 "${sample}")
endforeach()
weft_example_test(unpack.abandoned unpack --abandon "${sample}")

# What must not go unnoticed.
weft_example_test(unpack.no_archive unpack "${CMAKE_CURRENT_SOURCE_DIR}/unpack.cpp")
set_tests_properties(example.unpack.no_archive PROPERTIES PASS_REGULAR_EXPRESSION "nothing to compare with: .*tar ")
weft_example_test(unpack.no_archive.unverified unpack --no-verify "${CMAKE_CURRENT_SOURCE_DIR}/unpack.cpp")
set_tests_properties(example.unpack.no_archive.unverified PROPERTIES
  PASS_REGULAR_EXPRESSION "WRONG stream .*Unrecognized archive format.*not as it should be")
