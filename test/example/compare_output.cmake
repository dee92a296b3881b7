# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Runs ${emulator} ${program} and fails unless its output equals the file ${expected}, byte for byte.
separate_arguments(emulator)
set(actual "${program}.output.txt")
execute_process(COMMAND ${emulator} "${program}" OUTPUT_FILE "${actual}" RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${program} ended with ${result}")
endif()
execute_process(COMMAND "${CMAKE_COMMAND}" -E compare_files "${expected}" "${actual}" RESULT_VARIABLE differs)
if(differs)
  find_program(diff diff)
  if(diff)
    execute_process(COMMAND "${diff}" -u "${expected}" "${actual}")
  endif()
  message(FATAL_ERROR "The output of ${program} is not ${expected}")
endif()
