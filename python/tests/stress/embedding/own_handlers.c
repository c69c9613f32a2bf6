// The host has handlers in C for signals, which it raises whenever the Python code says so.
//
//     own_handlers TEXT
#include "host.h"
#include "inventory.h"

enum { count_of_signals = 4 };
static int signals[count_of_signals];
static volatile sig_atomic_t calls[last_signal + 1];

static void on_signal(int signum) {
  ++calls[signum];
}

static void on_signal_with_info(int signum, siginfo_t* info, void* context) {
  (void)context;
  if (info->si_signo == signum) ++calls[signum];
}

/// Each has flags and a mask of its own.
static void set_handlers(void) {
  const int flags[count_of_signals] = {0, SA_RESTART, SA_SIGINFO | SA_ONSTACK,
                                       SA_SIGINFO | SA_RESTART};
  signals[0] = SIGINT;
  signals[1] = SIGUSR1;
  signals[2] = SIGURG;
  signals[3] = SIGRTMAX;
  for (int each = 0; each < count_of_signals; ++each) {
    struct sigaction action = {.sa_flags = flags[each]};
    if (flags[each] & SA_SIGINFO)
      action.sa_sigaction = on_signal_with_info;
    else
      action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2 + each);
    sigaction(signals[each], &action, NULL);
  }
}

/// Raises each in the calling thread, and prints how often the handlers have been called since the
/// last time.
static void raise_signals(const char* when) {
  for (int each = 0; each < count_of_signals; ++each) raise(signals[each]);
  printf("%s: %d %d %d %d\n", when, calls[SIGINT], calls[SIGUSR1], calls[SIGURG], calls[SIGRTMAX]);
  fflush(stdout);
  for (int each = 0; each < count_of_signals; ++each) calls[signals[each]] = 0;
}

static PyObject* raise_from_python(PyObject* module, PyObject* when) {
  (void)module;
  raise_signals(PyUnicode_AsUTF8(when));
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"raise_signals", raise_from_python, METH_O, NULL},
                                  {NULL, NULL, 0, NULL}};
static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "host", .m_methods = functions};

static PyObject* make_host(void) {
  return declared(PyModule_Create(&definition));
}

int main(int argc, char** argv) {
  require(argc == 2, "there is a text");
  PyImport_AppendInittab("host", make_host);
  set_handlers();
  const struct inventory* const before = take_inventory();
  Py_Initialize();
  run(argv[1]);
  finalize();
  raise_signals("after the end");
  for (int each = 0; each < count_of_signals; ++each)
    require(is_same_action(before->actions[signals[each]], action_of(signals[each])),
            "the host's signal has the action that it had");
  return 0;
}
