# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Sets weft_clang and weft_clangxx: the oldest installed Clang that weft supports (16 or later).
# The environment variable WEFT_CLANGXX (a path to clang++) takes precedence.
function(weft_find_clang)
  set(candidates)
  foreach(version RANGE 16 40)
    list(APPEND candidates clang++-${version})
  endforeach()
  list(APPEND candidates clang++)
  if(DEFINED ENV{WEFT_CLANGXX})
    set(candidates "$ENV{WEFT_CLANGXX}")
  endif()

  foreach(candidate IN LISTS candidates)
    find_program(clangxx "${candidate}" NO_CACHE NO_CMAKE_FIND_ROOT_PATH)
    if(clangxx)
      execute_process(COMMAND "${clangxx}" -dumpversion
        OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
      if(version VERSION_GREATER_EQUAL 16)
        string(REGEX REPLACE "clang\\+\\+([^/]*)$" "clang\\1" clang "${clangxx}")
        set(weft_clangxx "${clangxx}" PARENT_SCOPE)
        set(weft_clang "${clang}" PARENT_SCOPE)
        return()
      endif()
    endif()
    unset(clangxx)
  endforeach()
  message(FATAL_ERROR "No Clang 16 or later was found: install one (for instance the package clang-16), "
    "or name it in the environment variable WEFT_CLANGXX.")
endfunction()
