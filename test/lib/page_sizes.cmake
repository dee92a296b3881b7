# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# What depends on the size of pages is tested with those of other kernels, too, in KiB: weft_page_sizes. QEMU before
# version 9 plays them, later ones say that they do not.
set(weft_page_sizes)
if(CMAKE_CROSSCOMPILING_EMULATOR MATCHES "qemu-aarch64")
  execute_process(COMMAND ${CMAKE_CROSSCOMPILING_EMULATOR} -p 65536 --version
    RESULT_VARIABLE refused ERROR_VARIABLE warning OUTPUT_QUIET)
  if(refused OR warning)
    message(STATUS "Without the tests *.pages_of_*: this QEMU plays no pages of another size, versions before 9 do")
  else()
    set(weft_page_sizes 16 64)
  endif()
endif()

# The tests <test>.pages_of_<n>_kib run a command.
function(weft_page_size_tests test)
  foreach(kib IN LISTS weft_page_sizes)
    math(EXPR bytes "${kib} * 1024")
    add_test(NAME ${test}.pages_of_${kib}_kib COMMAND ${ARGN})
    set_tests_properties(${test}.pages_of_${kib}_kib PROPERTIES
      ENVIRONMENT QEMU_PAGESIZE=${bytes} TIMEOUT ${weft_test_timeout})
  endforeach()
endfunction()
