# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Toolchain: Clang for the machine this runs on.
if(NOT CMAKE_CXX_COMPILER)
  include("${CMAKE_CURRENT_LIST_DIR}/find_clang.cmake")
  weft_find_clang()
  set(CMAKE_C_COMPILER "${weft_clang}")
  set(CMAKE_CXX_COMPILER "${weft_clangxx}")
endif()
