# Runs Kconfig for KILN_CONFIG and reads the result: CONFIG_<SYMBOL> variables for CMake, and one header per option
# under KILN_CONFIG_INCLUDE. CMake runs again when a Kconfig file or the configuration changes.
set(KILN_PYTHON /usr/bin/python3 CACHE FILEPATH "Python that has kconfiglib (Debian's own)")
set(KILN_CONFIG_INCLUDE ${CMAKE_BINARY_DIR}/include)

if(EXISTS ${CMAKE_SOURCE_DIR}/configs/${KILN_CONFIG}.config)
  set(kiln_config_file ${CMAKE_SOURCE_DIR}/configs/${KILN_CONFIG}.config)
else()
  get_filename_component(kiln_config_file ${KILN_CONFIG} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
endif()

set(kiln_overrides "")
foreach(override IN LISTS KILN_SET)
  list(APPEND kiln_overrides --set ${override})
endforeach()
execute_process(
  COMMAND ${KILN_PYTHON} ${CMAKE_SOURCE_DIR}/scripts/kconfig.py generate --srctree ${CMAKE_SOURCE_DIR}
          --config ${kiln_config_file} --out ${CMAKE_BINARY_DIR} ${kiln_overrides}
  RESULT_VARIABLE kiln_status
  ERROR_VARIABLE kiln_error)
if(NOT kiln_status EQUAL 0)
  message(FATAL_ERROR "${kiln_error}")
endif()
include(${CMAKE_BINARY_DIR}/config.cmake)

file(GLOB_RECURSE kiln_kconfigs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernel/Kconfig)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/Kconfig ${kiln_kconfigs}
  ${kiln_config_file} ${CMAKE_SOURCE_DIR}/scripts/kconfig.py)
