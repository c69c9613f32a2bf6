# The interpreters in UNDERTHREAD_PYTHONS, each asked about itself. find_package(Python3) finds one;
# the package is built and tested for several.

# Sets in the caller's scope:
#   UNDERTHREAD_TEST_PYTHON        any interpreter: runs tests that are not about the package
#   UNDERTHREAD_PACKAGE_PYTHONS    the interpreters that the package supports, as names
#   UNDERTHREAD_PYTHON_<name>      path,include folder,suffix of extensions: a list
# A name is the version; two of one version are told apart by a number.
function(underthread_find_pythons)
  if(NOT DEFINED CACHE{UNDERTHREAD_PYTHONS})
    find_program(python3 python3 NO_CACHE)
    set(found "")
    foreach(candidate IN ITEMS ${python3} /usr/bin/python3)
      # A version manager's python3 may be there and not run.
      execute_process(COMMAND ${candidate} --version RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
      if(result EQUAL 0)
        list(APPEND found ${candidate})
      endif()
    endforeach()
    set(UNDERTHREAD_PYTHONS "${found}" CACHE STRING "Interpreters to build and test the package for")
  endif()

  set(question [[
import sys, sysconfig
sys.stdout.write(";".join([
    sys.executable, sys.implementation.name, "%d.%d.%d" % sys.version_info[:3],
    sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX"), sys.base_prefix]))
]])
  set(names "")
  set(seen "")
  foreach(python IN LISTS UNDERTHREAD_PYTHONS)
    execute_process(COMMAND ${python} -E -c "${question}"
      OUTPUT_VARIABLE answer ERROR_VARIABLE complaint RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "UNDERTHREAD_PYTHONS has '${python}', which does not run as Python: ${result} ${complaint}")
    endif()
    list(GET answer 0 executable)
    list(GET answer 1 implementation)
    list(GET answer 2 version)
    list(GET answer 3 include)
    list(GET answer 4 suffix)
    list(GET answer 5 prefix)
    # `python3` on PATH and /usr/bin/python3 are often the same.
    if("${version} ${prefix}" IN_LIST seen)
      continue()
    endif()
    list(APPEND seen "${version} ${prefix}")
    if(NOT DEFINED test_python)
      set(test_python ${executable})
    endif()
    if(NOT implementation STREQUAL cpython OR NOT version MATCHES [[^3\.11\.]])
      message(NOTICE "underthread: the Python package leaves out ${executable}, which is "
        "${implementation} ${version}: only CPython 3.11 is supported")
      continue()
    endif()
    set(name ${version})
    set(number 2)
    while(name IN_LIST names)
      set(name ${version}-${number})
      math(EXPR number "${number} + 1")
    endwhile()
    list(APPEND names ${name})
    set(UNDERTHREAD_PYTHON_${name} "${executable};${include};${suffix}" PARENT_SCOPE)
  endforeach()

  if(NOT DEFINED test_python)
    message(FATAL_ERROR "The tests and the package need Python. Install it with script/setup, or name an "
      "interpreter with -DUNDERTHREAD_PYTHONS=PATH")
  endif()
  set(UNDERTHREAD_TEST_PYTHON ${test_python} PARENT_SCOPE)
  set(UNDERTHREAD_PACKAGE_PYTHONS "${names}" PARENT_SCOPE)
endfunction()
