#include "interrupts/guard.h"

#include "lot/mutex.h"

namespace underthread::python {

#if UNDERTHREAD_HAS_GIL

namespace {
constinit lot::Mutex mutex;
}  // namespace

Guard::Guard() {
  mutex.lock();
}
Guard::~Guard() {
  mutex.unlock();
}
void forget_guard() {
  mutex.forget();
}

#else

// The interpreter's own: whoever waits for it lets the interpreter stop all threads meanwhile.
namespace {
constinit PyMutex mutex = {0};
}  // namespace

Guard::Guard() {
  PyMutex_Lock(&mutex);
}
Guard::~Guard() {
  PyMutex_Unlock(&mutex);
}
void forget_guard() {
  mutex = PyMutex{0};
}

#endif

}  // namespace underthread::python
