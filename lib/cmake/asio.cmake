# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Defines weft::asio: weft together with the Boost.Asio that weft/asio.hpp adapts; or says in weft_asio_missing why not.
# Serves weft's own build and its installed package. Arguments: GLOBAL, if the targets are for other directories too.
function(weft_find_asio)
  include("${CMAKE_CURRENT_FUNCTION_LIST_DIR}/boost.cmake")
  weft_find_boost(1.81 ${ARGN})
  if(NOT TARGET Boost::headers)
    set(weft_asio_missing "weft::asio needs the headers of Boost 1.81 or later, which were not found: install them, or \
name their place in CMAKE_PREFIX_PATH" PARENT_SCOPE)
    return()
  endif()
  add_library(weft::asio INTERFACE IMPORTED ${ARGN})
  target_link_libraries(weft::asio INTERFACE weft::weft Boost::headers)
endfunction()
