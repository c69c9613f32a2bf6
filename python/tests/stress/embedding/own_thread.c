// A thread of the host's that attaches to the interpreter, goes, and comes back with a new thread
// state.
//
//     own_thread SETUP FIRST MEANWHILE SECOND
//
// The main thread runs SETUP. The thread runs FIRST and stays attached, without the GIL, while the
// main thread runs MEANWHILE; it detaches, attaches again and runs SECOND, while the main thread
// joins it without the GIL.
#include <pthread.h>
#include <semaphore.h>

#include "host.h"

static sem_t has_run_first, may_go_on;

struct texts {
  const char *first, *second;
};

static void* attach_twice(void* argument) {
  const struct texts* const texts = argument;
  const PyGILState_STATE first = PyGILState_Ensure();
  PyThreadState* const state = PyGILState_GetThisThreadState();
  const uint64_t number = PyThreadState_GetID(state);
  run(texts->first);
  PyEval_SaveThread();
  sem_post(&has_run_first);
  while (sem_wait(&may_go_on) != 0) {
  }
  PyEval_RestoreThread(state);
  // No Python code runs between what the main thread has done and the end of this state.
  PyGILState_Release(first);
  require(!PyGILState_GetThisThreadState(), "the thread has no state");

  const PyGILState_STATE second = PyGILState_Ensure();
  require(PyThreadState_GetID(PyGILState_GetThisThreadState()) != number, "the state is a new one");
  run(texts->second);
  PyGILState_Release(second);
  return NULL;
}

int main(int argc, char** argv) {
  require(argc == 5, "there are four texts");
  struct texts texts = {argv[2], argv[4]};
  pthread_t thread;
  sem_init(&has_run_first, 0, 0);
  sem_init(&may_go_on, 0, 0);
  Py_Initialize();
  run(argv[1]);
  PyThreadState* const state = PyEval_SaveThread();
  require(pthread_create(&thread, NULL, attach_twice, &texts) == 0, "a thread starts");
  while (sem_wait(&has_run_first) != 0) {
  }
  PyEval_RestoreThread(state);
  run(argv[3]);
  PyEval_SaveThread();
  sem_post(&may_go_on);
  pthread_join(thread, NULL);
  PyEval_RestoreThread(state);
  finalize();
  say("finalized");
  return 0;
}
