# The interpreters that the package is built and tested for, each asked about itself. find_package(Python3)
# finds one; these are several.
#
# UNDERTHREAD_PYTHONS is one of
#   found       every interpreter that can be found and that the package supports
#   python3     python3 on PATH and Debian's own, /usr/bin/python3
#   PATH;…      exactly these: one that does not run or has no headers is an error
# The environment variable of that name counts where the option is a word, so that it reaches every preset.
# pip builds for the interpreter that runs it: scikit-build-core names that one as find_package(Python) takes it.
set(pythons found)
if(SKBUILD)
  set(pythons ${Python_EXECUTABLE})
endif()
set(UNDERTHREAD_PYTHONS ${pythons} CACHE STRING "Interpreters to build the package for: found, python3, or their paths")

# What the package supports; "t" is free-threaded. The one place in CMake that says so.
set(UNDERTHREAD_PYTHON_VERSIONS 3.9 3.10 3.11 3.12 3.13 3.13t 3.14 3.14t 3.15 3.15t)

# Paths that may be interpreters; most will not be there.
function(underthread_python_candidates words result)
  set(names python3)
  set(paths /usr/bin/python3)
  if(words STREQUAL found)
    foreach(version IN LISTS UNDERTHREAD_PYTHON_VERSIONS)
      list(APPEND names python${version})
    endforeach()
    set(pyenv $ENV{PYENV_ROOT})
    if(NOT pyenv)
      set(pyenv $ENV{HOME}/.pyenv)
    endif()
    # A free-threaded one is a version of its own there, whose python3.13 is python3.13t.
    file(GLOB paths_of_pyenv ${pyenv}/versions/*/bin/python3)
    list(SORT paths_of_pyenv COMPARE NATURAL)
    list(APPEND paths ${paths_of_pyenv})
  endif()
  set(found "")
  foreach(name IN LISTS names)
    find_program(on_path ${name} NO_CACHE)
    if(on_path)
      list(APPEND found ${on_path})
    endif()
    unset(on_path)
  endforeach()
  set(${result} ${found} ${paths} PARENT_SCOPE)
endfunction()

# Sets in the caller's scope:
#   UNDERTHREAD_TEST_PYTHON        any interpreter: runs tests that are not about the package
#   UNDERTHREAD_PACKAGE_PYTHONS    the interpreters that the package is for, as names
#   UNDERTHREAD_PYTHON_<name>      path,include folder,suffix of extensions: a list
#   UNDERTHREAD_LIBPYTHON_<name>   what a program that hosts it is linked with: a list; empty: nothing to link
# A name is the version, with "t" if free-threaded; two of one version are told apart by a number.
function(underthread_find_pythons)
  set(wanted "${UNDERTHREAD_PYTHONS}")
  if(wanted MATCHES "^(found|python3)$" AND NOT "$ENV{UNDERTHREAD_PYTHONS}" STREQUAL "")
    set(wanted "$ENV{UNDERTHREAD_PYTHONS}")
  endif()
  set(named TRUE)
  if(wanted MATCHES "^(found|python3)$")
    set(named FALSE)
    underthread_python_candidates(${wanted} wanted)
  endif()

  set(question [[
import os, sys, sysconfig
get = sysconfig.get_config_var
shared = os.path.join(get("LIBDIR") or "", get("LDLIBRARY") or "")
static = os.path.join(get("LIBPL") or "", get("LIBRARY") or "")
if get("Py_ENABLE_SHARED") and os.path.exists(shared):
    link = [shared]
elif os.path.exists(static):
    link = [static, get("LIBS"), get("SYSLIBS"), get("LIBM")]
else:
    link = []
sys.stdout.write(";".join([
    sys.executable, sys.implementation.name, "%d.%d.%d" % sys.version_info[:3],
    "t" if get("Py_GIL_DISABLED") else "", sysconfig.get_path("include"), get("EXT_SUFFIX"), sys.base_prefix]
    + [word for words in link for word in (words or "").split()]))
]])
  list(JOIN UNDERTHREAD_PYTHON_VERSIONS ", " supported)
  set(names "")
  set(seen "")
  foreach(python IN LISTS wanted)
    execute_process(COMMAND ${python} -E -c "${question}"
      OUTPUT_VARIABLE answer ERROR_VARIABLE complaint RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      if(named)
        message(FATAL_ERROR "UNDERTHREAD_PYTHONS has '${python}', which does not run as Python: ${result} ${complaint}")
      endif()
      # A version manager's python3.9 may be there and not run.
      continue()
    endif()
    list(GET answer 0 executable)
    list(GET answer 1 implementation)
    list(GET answer 2 version)
    list(GET answer 3 free_threaded)
    list(GET answer 4 include)
    list(GET answer 5 suffix)
    list(GET answer 6 prefix)
    set(libpython "${answer}")
    list(REMOVE_AT libpython 0 1 2 3 4 5 6)
    # `python3` on PATH and /usr/bin/python3 are often the same.
    if("${version}${free_threaded} ${prefix}" IN_LIST seen)
      continue()
    endif()
    list(APPEND seen "${version}${free_threaded} ${prefix}")
    if(NOT DEFINED test_python)
      set(test_python ${executable})
    endif()

    set(wrong "")
    set(error FALSE)
    string(REGEX REPLACE [[\.[0-9]+$]] "" minor ${version})
    if(NOT implementation STREQUAL cpython OR NOT "${minor}${free_threaded}" IN_LIST UNDERTHREAD_PYTHON_VERSIONS)
      set(wrong "is ${implementation} ${version}${free_threaded}: supported is CPython ${supported}")
    elseif(NOT EXISTS ${include}/Python.h)
      set(wrong "has no headers (${include}/Python.h): Debian has them in python3-dev")
      set(error ${named})
    endif()
    if(error AND UNDERTHREAD_PYTHON)
      message(FATAL_ERROR "UNDERTHREAD_PYTHONS has ${executable}, which ${wrong}")
    elseif(wrong)
      message(NOTICE "underthread: the Python package leaves out ${executable}, which ${wrong}")
      continue()
    endif()

    set(name ${version}${free_threaded})
    set(number 2)
    while(name IN_LIST names)
      set(name ${version}${free_threaded}-${number})
      math(EXPR number "${number} + 1")
    endwhile()
    list(APPEND names ${name})
    set(UNDERTHREAD_PYTHON_${name} "${executable};${include};${suffix}" PARENT_SCOPE)
    set(UNDERTHREAD_LIBPYTHON_${name} "${libpython}" PARENT_SCOPE)
  endforeach()

  if(NOT DEFINED test_python)
    message(FATAL_ERROR "The tests and the package need Python. Install it with script/setup, or name an "
      "interpreter with -DUNDERTHREAD_PYTHONS=PATH")
  endif()
  set(UNDERTHREAD_TEST_PYTHON ${test_python} PARENT_SCOPE)
  set(UNDERTHREAD_PACKAGE_PYTHONS "${names}" PARENT_SCOPE)
endfunction()
