// One interpreter after another, and what each has left in the process.
//
//     rounds INSTALL_SIGNAL_HANDLERS TEXT [INSTALL_SIGNAL_HANDLERS TEXT...]
#include <pthread.h>

#include "host.h"
#include "inventory.h"

static void* do_nothing(void* unused) {
  return unused;
}

int main(int argc, char** argv) {
  // From its first thread on the C library has a signal handler of its own.
  pthread_t thread;
  require(pthread_create(&thread, NULL, do_nothing, NULL) == 0, "a thread starts");
  pthread_join(thread, NULL);

  const struct inventory* const before = take_inventory();
  for (int each = 1; each + 1 < argc; each += 2) {
    Py_InitializeEx(atoi(argv[each]));
    run(argv[each + 1]);
    finalize();
    say("finalized");
    print_differences(before);
  }
  return 0;
}
