# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Toolchain: GCC for the machine this runs on: g++, or what the environment variable WEFT_GXX names.
if(NOT CMAKE_CXX_COMPILER)
  if(DEFINED ENV{WEFT_GXX})
    set(CMAKE_CXX_COMPILER "$ENV{WEFT_GXX}")
  else()
    set(CMAKE_CXX_COMPILER g++)
  endif()
endif()
