# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Fails unless ${readme} shows ${program} without its first two lines, and then ${output}, as they are.
file(READ "${readme}" page)
file(READ "${program}" code)
file(READ "${output}" printed)
string(REGEX REPLACE "^[^\n]*\n\n" "" code "${code}")
string(FIND "${page}" "```cpp\n${code}```\n\n```\n${printed}```\n" place)
if(place EQUAL -1)
  message(FATAL_ERROR "${readme} does not show ${program} followed by its output ${output}: copy them there")
endif()
