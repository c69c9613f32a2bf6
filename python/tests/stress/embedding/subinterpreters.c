// Many subinterpreters, one after another, each of which runs a text; and what is left in the
// process.
//
//     subinterpreters HOW_MANY TEXT_OF_MAIN TEXT_OF_EACH
#include <pthread.h>

#include "host.h"
#include "inventory.h"

static void* do_nothing(void* unused) {
  return unused;
}

int main(int argc, char** argv) {
  require(argc == 4, "there are a number and two texts");
  // From its first thread on the C library has a signal handler of its own.
  pthread_t thread;
  require(pthread_create(&thread, NULL, do_nothing, NULL) == 0, "a thread starts");
  pthread_join(thread, NULL);

  const struct inventory* const before = take_inventory();
  Py_Initialize();
  PyThreadState* const main_state = PyThreadState_Get();
  run(argv[2]);
  for (int left = atoi(argv[1]); left > 0; --left) {
    PyThreadState* const state = Py_NewInterpreter();
    require(state != NULL, "a subinterpreter starts");
    run(argv[3]);
    Py_EndInterpreter(state);
    PyThreadState_Swap(main_state);
  }
  finalize();
  say("finalized");
  print_differences(before);
  return 0;
}
