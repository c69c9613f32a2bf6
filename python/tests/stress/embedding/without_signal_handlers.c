// The host has kept all signals for itself, and looks at their actions whenever the Python code
// says so.
//
//     without_signal_handlers TEXT          by Py_InitializeEx(0)
//     without_signal_handlers TEXT config   by PyConfig.install_signal_handlers
#include "host.h"
#include "inventory.h"

static const struct inventory* before;

static PyObject* look(PyObject* module, PyObject* when) {
  (void)module;
  say(PyUnicode_AsUTF8(when));
  print_changed_actions(before);
  Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"look", look, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = "host", .m_methods = functions};

static PyObject* make_host(void) {
  return declared(PyModule_Create(&definition));
}

static void initialize_by_config(void) {
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;
  require(!PyStatus_Exception(Py_InitializeFromConfig(&config)), "the interpreter starts");
  PyConfig_Clear(&config);
}

int main(int argc, char** argv) {
  PyImport_AppendInittab("host", make_host);
  before = take_inventory();
  if (argc > 2)
    initialize_by_config();
  else
    Py_InitializeEx(0);
  run(argv[1]);
  finalize();
  say("finalized");
  print_changed_actions(before);
  return 0;
}
