# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Warnings for weft's own code. They stay with the target: no project that links it inherits them.
function(weft_warnings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:/W4>)
  else()
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor>")
    # GCC takes a coroutine frame's own operator delete for a mismatch of its operator new.
    target_compile_options(${target} PRIVATE
      "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-mismatched-new-delete>")
  endif()
endfunction()
