# Warnings are for our own code: nothing here reaches those who link us.
function(underthread_warnings target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wundef
    $<$<BOOL:${UNDERTHREAD_WERROR}>:-Werror>)
endfunction()
