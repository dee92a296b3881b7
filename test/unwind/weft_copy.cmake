# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# weft_sources(<variable>): the paths of the library's own sources.
function(weft_sources variable)
  get_target_property(folder weft SOURCE_DIR)
  get_target_property(sources weft SOURCES)
  set(paths)
  foreach(source IN LISTS sources)
    if(source MATCHES "[.](cpp|S)$")
      cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${folder}" NORMALIZE)
      list(APPEND paths "${source}")
    endif()
  endforeach()
  set(${variable} "${paths}" PARENT_SCOPE)
endfunction()

# weft_copy(<name> [<compile option>...]): the library once more, static, from the same sources, with options that it and
# all that links it are compiled with.
function(weft_copy name)
  weft_sources(paths)
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${paths})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}/include")
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_compile_options(${name} PUBLIC ${ARGN})
  target_link_libraries(${name} PUBLIC Threads::Threads)
endfunction()
