# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Toolchain: Clang for 64-bit Arm Linux, with the C and C++ libraries of the GCC cross compiler.
if(NOT CMAKE_CXX_COMPILER)
  include("${CMAKE_CURRENT_LIST_DIR}/find_clang.cmake")
  weft_find_clang()
  set(CMAKE_C_COMPILER "${weft_clang}")
  set(CMAKE_CXX_COMPILER "${weft_clangxx}")
endif()
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_ASM_COMPILER_TARGET aarch64-linux-gnu)

include("${CMAKE_CURRENT_LIST_DIR}/aarch64.cmake")
