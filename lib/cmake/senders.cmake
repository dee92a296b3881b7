# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Defines weft::senders: weft together with the senders that weft/senders.hpp adapts, std::execution where the standard
# library has it, else NVIDIA's stdexec. Serves weft's own build and its installed package. Says in weft_senders_library
# what it found: std, stdexec or, with weft_senders_missing as the reason, nothing. Arguments: GLOBAL, if the targets are
# for other directories too.
function(weft_find_senders)
  include(CheckCXXSourceCompiles)
  set(weft_senders_library "" PARENT_SCOPE)

  check_cxx_source_compiles("
    #include <version>
    #if !defined(__cpp_lib_senders)
    #error none
    #endif
    int main() {}" WEFT_STD_SENDERS)
  if(WEFT_STD_SENDERS)
    add_library(weft::senders INTERFACE IMPORTED ${ARGN})
    target_link_libraries(weft::senders INTERFACE weft::weft)
    set(weft_senders_library std PARENT_SCOPE)
    return()
  endif()
  unset(WEFT_STD_SENDERS CACHE) # another CMAKE_CXX_STANDARD may have them

  if(NOT TARGET STDEXEC::stdexec)
    find_package(stdexec CONFIG QUIET ${ARGN})
  endif()
  if(TARGET STDEXEC::stdexec)
    set(links STDEXEC::stdexec)
    set(includes)
  else()
    find_path(WEFT_STDEXEC_INCLUDE_DIR stdexec/execution.hpp)
    mark_as_advanced(WEFT_STDEXEC_INCLUDE_DIR)
    if(NOT WEFT_STDEXEC_INCLUDE_DIR)
      set(weft_senders_missing "the standard library has no std::execution as it is used here (CMAKE_CXX_STANDARD), and \
NVIDIA's stdexec is not installed: install it, or name its headers with -DWEFT_STDEXEC_INCLUDE_DIR=..." PARENT_SCOPE)
      return()
    endif()
    set(links)
    set(includes "${WEFT_STDEXEC_INCLUDE_DIR}")

    # Headers of whatever age; a package of stdexec has a version.
    set(CMAKE_REQUIRED_INCLUDES "${includes}")
    if(NOT CMAKE_CXX_STANDARD)
      set(CMAKE_CXX_STANDARD 20)
    endif()
    check_cxx_source_compiles("
      #include <stdexec/execution.hpp>
      int main() { return sizeof(stdexec::receiver_tag) == 0; }" WEFT_STDEXEC_SUFFICES)
    if(NOT WEFT_STDEXEC_SUFFICES)
      unset(WEFT_STDEXEC_SUFFICES CACHE) # the next one may
      set(weft_senders_missing "the stdexec in ${WEFT_STDEXEC_INCLUDE_DIR} is older than May 2026, or does not compile \
with this compiler: install another one" PARENT_SCOPE)
      return()
    endif()
  endif()

  add_library(weft::senders INTERFACE IMPORTED ${ARGN})
  target_link_libraries(weft::senders INTERFACE weft::weft ${links})
  target_include_directories(weft::senders SYSTEM INTERFACE ${includes})
  set(weft_senders_library stdexec PARENT_SCOPE)
endfunction()
