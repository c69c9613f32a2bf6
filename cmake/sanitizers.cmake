# UNDERTHREAD_SANITIZE applies to all that this project builds; UNDERTHREAD_SANITIZE_FLAGS is what a
# program that links the library must be linked with.
foreach(sanitizer IN LISTS UNDERTHREAD_SANITIZE)
  if(NOT sanitizer MATCHES "^(address|thread|undefined)$")
    message(FATAL_ERROR "UNDERTHREAD_SANITIZE has '${sanitizer}'; it may hold address, thread and undefined")
  endif()
endforeach()
if("address" IN_LIST UNDERTHREAD_SANITIZE AND "thread" IN_LIST UNDERTHREAD_SANITIZE)
  message(FATAL_ERROR "UNDERTHREAD_SANITIZE: address and thread cannot share a process")
endif()

set(UNDERTHREAD_SANITIZE_FLAGS "")
if(UNDERTHREAD_SANITIZE)
  list(JOIN UNDERTHREAD_SANITIZE , sanitizers)
  set(UNDERTHREAD_SANITIZE_FLAGS -fsanitize=${sanitizers})
  # No recovery: what UBSan finds must fail the test that it was found in.
  add_compile_options(${UNDERTHREAD_SANITIZE_FLAGS} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(${UNDERTHREAD_SANITIZE_FLAGS})
endif()
