// The interpreter ends while its threads still wait. The host goes on for as long as it is told.
//
//     threads_at_the_end TEXT MILLISECONDS
#include <unistd.h>

#include "host.h"

int main(int argc, char** argv) {
  require(argc == 3, "there are a text and a number");
  Py_Initialize();
  run(argv[1]);
  finalize();
  usleep((useconds_t)atoi(argv[2]) * 1000);
  say("finalized");
  return 0;
}
