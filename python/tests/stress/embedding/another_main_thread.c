// The interpreter lives in a thread other than the process's first, which waits in a system call
// meanwhile and counts how often something has ended it: each text in an interpreter and a thread
// of its own.
//
//     another_main_thread TEXT...
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "host.h"

static int ends[2];

static void* live(void* text) {
  Py_Initialize();
  run(text);
  finalize();
  say("finalized");
  require(write(ends[1], "", 1) == 1, "the first thread is told");
  return NULL;
}

int main(int argc, char** argv) {
  require(pipe(ends) == 0, "there is a pipe");
  for (int each = 1; each < argc; ++each) {
    pthread_t thread;
    char byte = 0;
    int interruptions = 0;
    require(pthread_create(&thread, NULL, live, argv[each]) == 0, "a thread starts");
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) ++interruptions;
    printf("the first thread was interrupted %d times\n", interruptions);
    fflush(stdout);
    pthread_join(thread, NULL);
  }
  return 0;
}
