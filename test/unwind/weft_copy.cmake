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

# weft_compiled_at_once(<target>): the library's sources in it are compiled as one, as a user's CMAKE_UNITY_BUILD does.
# That takes a third of the time; libweft itself is compiled file by file.
function(weft_compiled_at_once target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
endfunction()

# weft_copy(<name> [<compile option>...]): the library once more, static, from the same sources, with options that it and
# all that links it are compiled with.
function(weft_copy name)
  weft_sources(paths)
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${paths})
  weft_compiled_at_once(${name})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}/include")
  target_compile_features(${name} PUBLIC cxx_std_20)
  target_compile_options(${name} PUBLIC ${ARGN})
  target_link_libraries(${name} PUBLIC Threads::Threads)
endfunction()
