# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Components: weft_runtime, what a program needs to run that was built with the shared library; weft_development, the rest.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")

install(TARGETS weft EXPORT weftTargets
  RUNTIME COMPONENT weft_runtime
  LIBRARY COMPONENT weft_runtime NAMELINK_COMPONENT weft_development
  ARCHIVE COMPONENT weft_development
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT weft_development
  FILE_SET special DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT weft_development)
if(TARGET weft_fcontext)
  install(TARGETS weft_fcontext EXPORT weftTargets COMPONENT weft_development)
endif()
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION "${package_dir}" COMPONENT weft_development)
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/weftConfig.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfig.cmake"
  INSTALL_DESTINATION "${package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/weftConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/asio.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/boost.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/senders.cmake"
  DESTINATION "${package_dir}" COMPONENT weft_development)

# weft.pc: its prefix is where it lies, unless the folders of this installation are absolute ones.
set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH up "/${pkgconfig_dir}" "/")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
set(pc_libdir "\${prefix}")
cmake_path(APPEND pc_libdir "${CMAKE_INSTALL_LIBDIR}")
set(pc_includedir "\${prefix}")
cmake_path(APPEND pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
set(pc_cflags)
set(pc_libs)
get_target_property(definitions weft INTERFACE_COMPILE_DEFINITIONS)
if(definitions)
  list(TRANSFORM definitions PREPEND " -D" OUTPUT_VARIABLE pc_cflags)
  list(JOIN pc_cflags "" pc_cflags)
endif()
if(WEFT_SWITCH STREQUAL "fcontext")
  set(pc_libs " -lboost_context")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/../weft.pc.in" "${CMAKE_CURRENT_BINARY_DIR}/weft.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/weft.pc" DESTINATION "${pkgconfig_dir}" COMPONENT weft_development)

# gdb loads a script that has the name of a library it has loaded; lldb's is for the user to import.
set(gdb_dir "${CMAKE_CURRENT_LIST_DIR}/../gdb")
if(weft_type STREQUAL "SHARED_LIBRARY" AND UNIX AND NOT APPLE)
  install(FILES "${gdb_dir}/weft.py" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME "$<TARGET_FILE_NAME:weft>-gdb.py"
    COMPONENT weft_development)
endif()
install(FILES "${gdb_dir}/weft.py" "${gdb_dir}/weft_lldb.py" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft"
  COMPONENT weft_development)

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/weft"
  COMPONENT weft_runtime)
