# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Read by project(). When a consumer's CMakeLists.txt has been read, it looks for what weft has left behind there: its targets,
# and nothing that changes how other code is compiled.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

set(watched_variables BUILD_SHARED_LIBS BUILD_TESTING CMAKE_BUILD_TYPE CMAKE_CXX_COMPILER_LAUNCHER CMAKE_CXX_EXTENSIONS
  CMAKE_CXX_FLAGS CMAKE_CXX_STANDARD CMAKE_CXX_STANDARD_REQUIRED CMAKE_CXX_VISIBILITY_PRESET CMAKE_EXE_LINKER_FLAGS
  CMAKE_LIBRARY_OUTPUT_DIRECTORY CMAKE_MODULE_PATH CMAKE_POSITION_INDEPENDENT_CODE CMAKE_RUNTIME_OUTPUT_DIRECTORY
  CMAKE_VISIBILITY_INLINES_HIDDEN)
set(watched_properties COMPILE_DEFINITIONS COMPILE_OPTIONS INCLUDE_DIRECTORIES LINK_DIRECTORIES LINK_LIBRARIES
  LINK_OPTIONS)

function(watched result)
  set(state)
  foreach(variable IN LISTS watched_variables)
    list(APPEND state "${variable}=${${variable}}")
  endforeach()
  foreach(property IN LISTS watched_properties)
    get_directory_property(value ${property})
    list(APPEND state "${property}=${value}")
  endforeach()
  set(${result} "${state}" PARENT_SCOPE)
endfunction()

function(expect what actual)
  if(NOT "${actual}" STREQUAL "${ARGN}")
    message(FATAL_ERROR "${what} is '${actual}' instead of '${ARGN}'")
  endif()
endfunction()

function(check_guest)
  watched(after)
  expect("What stands in the consumer's own directory" "${after}" ${watched_before})

  # New cache entries bear weft's name, or that of what it looks for.
  get_property(entries DIRECTORY PROPERTY CACHE_VARIABLES)
  list(REMOVE_ITEM entries ${entries_before})
  list(FILTER entries EXCLUDE REGEX "^(WEFT_|weft_|boost_|Boost_|BOOST_|stdexec_|FETCHCONTENT_|CMAKE_ASM_|CMAKE_INSTALL_)")
  list(FILTER entries EXCLUDE REGEX "^(CMAKE_HAVE_|FIND_PACKAGE_|PKG_|hello_|CMAKE_DIRECTORY_LABELS|CTEST_|CMAKE_PROJECT_)")
  expect("What else weft has put into the cache" "${entries}")

  get_property(directories DIRECTORY PROPERTY SUBDIRECTORIES)
  set(targets)
  while(directories)
    list(POP_FRONT directories directory)
    get_property(below DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
    get_property(here DIRECTORY "${directory}" PROPERTY BUILDSYSTEM_TARGETS)
    get_property(tests DIRECTORY "${directory}" PROPERTY TESTS)
    list(APPEND directories ${below})
    list(APPEND targets ${here} ${tests})
  endwhile()
  list(FILTER targets EXCLUDE REGEX "^weft(_fcontext)?$")
  expect("What else is built or tested" "${targets}")

  # With add_subdirectory or FetchContent: nothing is looked for that weft does not need.
  if(TARGET weft AND WEFT_SWITCH STREQUAL "native" AND TARGET Boost::headers)
    message(FATAL_ERROR "weft has looked for Boost, though nobody has asked for it")
  endif()

  if(NOT TARGET weft::weft)
    message(FATAL_ERROR "there is no target weft::weft")
  endif()
  foreach(property IN ITEMS COMPILE_OPTIONS LINK_OPTIONS LINK_DIRECTORIES SOURCES)
    get_property(value TARGET weft::weft PROPERTY INTERFACE_${property})
    expect("weft::weft's ${property}" "${value}")
  endforeach()
  get_property(value TARGET weft::weft PROPERTY INTERFACE_COMPILE_FEATURES)
  expect("weft::weft's COMPILE_FEATURES" "${value}" cxx_std_20)
  get_property(value TARGET weft::weft PROPERTY INTERFACE_COMPILE_DEFINITIONS)
  list(REMOVE_ITEM value WEFT_SWITCH_FCONTEXT=1)
  get_property(type TARGET weft::weft PROPERTY TYPE)
  set(static_only)
  if(type STREQUAL "STATIC_LIBRARY")
    set(static_only WEFT_STATIC=1)
  endif()
  expect("weft::weft's COMPILE_DEFINITIONS" "${value}" ${static_only})
endfunction()

watched(watched_before)
get_property(entries_before DIRECTORY PROPERTY CACHE_VARIABLES)
cmake_language(DEFER CALL check_guest)
