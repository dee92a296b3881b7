# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")

install(TARGETS weft EXPORT weftTargets
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(TARGET weft_fcontext)
  install(TARGETS weft_fcontext EXPORT weftTargets)
endif()
install(EXPORT weftTargets NAMESPACE weft:: DESTINATION "${package_dir}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/weftConfig.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/weftConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/weftConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/senders.cmake"
  DESTINATION "${package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/weft")
