# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Finds Boost by the CMake package that Boost itself installs, and else by CMake's own module, about which CMake warns
# since 3.30 (policy CMP0167). Arguments: those of find_package behind its name.
macro(weft_find_boost)
  find_package(Boost ${ARGN} QUIET CONFIG)
  if(NOT Boost_FOUND)
    find_package(Boost ${ARGN} QUIET)
  endif()
endmacro()
