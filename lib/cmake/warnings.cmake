# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Warnings for weft's own code. They stay with the target: nobody who links it inherits them.
function(weft_warnings target)
  if(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC" OR MSVC)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:/W4>)
  else()
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor>")
  endif()
endfunction()
