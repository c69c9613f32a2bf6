#include "threads/thread_handle.h"

#if !UNDERTHREAD_HAS_SENTINEL

#include <mutex>
#include <new>

#include "cpython/errors.h"
#include "cpython/gil.h"
#include "lot/fork.h"
#include "lot/thread_record.h"
#include "waits/blocking.h"

namespace underthread::python {
namespace {

/// All handles. Guarded by lot::settings.
constinit ThreadHandle* all = nullptr;

using Locked = std::scoped_lock<lot::ForkMutex>;

struct HandleObject {
  PyObject_HEAD ThreadHandle* handle;
};

HandleObject* object(PyObject* self) {
  return reinterpret_cast<HandleObject*>(self);
}

}  // namespace

void forget_handles_in_fork_child() {
  const Ident me = get_ident();
  for (ThreadHandle* handle = all; handle; handle = handle->next_) {
    const auto state = handle->state_.load(std::memory_order_relaxed);
    // What has not been started may be started here. The forking thread lives on.
    if (state == ThreadHandle::not_started || handle->ident() == me) continue;
    handle->state_.store(ThreadHandle::done, std::memory_order_relaxed);
    if (!handle->ended_.is_set()) handle->ended_.set();
    handle->unlink_awaited();
  }
}

ThreadHandle* ThreadHandle::make() {
  lot::call_in_fork_child(forget_handles_in_fork_child);
  ThreadHandle* const handle = new (std::nothrow) ThreadHandle();
  if (!handle) return nullptr;
  const Locked locked(lot::settings);
  handle->next_ = all;
  if (all) all->prev_ = handle;
  all = handle;
  return handle;
}

void ThreadHandle::drop() {
  // acq_rel: the last one sees what the others did with it.
  if (references_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  {
    const Locked locked(lot::settings);
    unlink_awaited();
    if (next_) next_->prev_ = prev_;
    (prev_ ? prev_->next_ : all) = next_;
  }
  if (thread_.joinable()) thread_.detach();
  delete this;
}

bool ThreadHandle::begin_start() {
  State expected = not_started;
  if (state_.compare_exchange_strong(expected, starting, std::memory_order_relaxed)) return true;
  PyErr_SetString(PyExc_RuntimeError, "thread already started");
  return false;
}

void ThreadHandle::cancel_start() {
  state_.store(done, std::memory_order_release);
  ended_.set();
}

void ThreadHandle::started_as(Ident ident) {
  ident_.store(ident, std::memory_order_release);
  state_.store(running, std::memory_order_release);
}

void ThreadHandle::thread_ends() {
  forget();
  ended_.set();
}

bool ThreadHandle::check_started() const {
  const State state = state_.load(std::memory_order_acquire);
  if (state != not_started && state != starting) return true;
  PyErr_SetString(PyExc_RuntimeError, "thread not started");
  return false;
}

bool ThreadHandle::join(const ModuleState& state, std::int64_t patience) {
  if (!check_started()) return false;
  // Once it has ended, somebody else may have its ident.
  if (!is_done() && ident() == get_ident()) {
    PyErr_SetString(PyExc_RuntimeError, "Cannot join current thread");
    return false;
  }
  std::uint32_t holder = 0;
  lot::find(ident(), [&holder](lot::ThreadRecord& record) { holder = record.holder; });
  // Not done: it had not ended when it was found, so the ident was its own.
  if (!is_done()) {
    const Blocked end =
        block(state, patience, Handlers::run, {"a thread to end", join_at_the_end},
              [this, holder](lot::Wait& wait) {
                lot::ThreadRecord* const me = lot::current();
                return me ? ended_.wait(*me, wait, holder) : lot::WaitEnd::timed_out;
              });
    if (end == Blocked::raised) return false;
    if (end == Blocked::timed_out) return true;
  }
  // The thread's last steps, which it takes by itself.
  if (state_.load(std::memory_order_acquire) == done) return true;
  if (thread_.joinable())
    without_gil([this] {
      lot::Wait uninterrupted;
      thread_.join_waiting(uninterrupted);
    });
  state_.store(done, std::memory_order_release);
  return true;
}

bool ThreadHandle::set_done() {
  if (!check_started()) return false;
  if (state_.exchange(done, std::memory_order_acq_rel) != done && !is_done()) ended_.set();
  return true;
}

void ThreadHandle::await(ModuleState& state) {
  const Locked locked(lot::settings);
  awaited_by_ = &state;
  next_awaited_ = state.awaited;
  if (next_awaited_) next_awaited_->prev_awaited_ = this;
  state.awaited = this;
}

void ThreadHandle::forget() {
  const Locked locked(lot::settings);
  unlink_awaited();
}

void ThreadHandle::unlink_awaited() {
  if (!awaited_by_) return;
  if (next_awaited_) next_awaited_->prev_awaited_ = prev_awaited_;
  (prev_awaited_ ? prev_awaited_->next_awaited_ : awaited_by_->awaited) = next_awaited_;
  next_awaited_ = prev_awaited_ = nullptr;
  awaited_by_ = nullptr;
}

void forget_awaited(ModuleState& state) {
  const Locked locked(lot::settings);
  while (state.awaited) state.awaited->unlink_awaited();
}

PyObject* shutdown(PyObject* module, PyObject*) {
  ModuleState& state = state_of(module);
  const Ident me = get_ident();
  for (;;) {
    ThreadHandle* next = nullptr;
    {
      const Locked locked(lot::settings);
      for (next = state.awaited; next && next->ident() == me;) next = next->next_awaited_;
      if (next) next->refer();
    }
    if (!next) break;
    const bool joined = next->join(state, lot::never);
    if (joined) next->forget();
    next->drop();
    if (!joined) {
      // As on Ctrl-C: said, and not waited for any more.
      PyErr_WriteUnraisable(nullptr);
      break;
    }
  }
  Py_RETURN_NONE;
}

// --- The Python object

namespace {

PyObject* make(PyTypeObject* type, PyObject*, PyObject*) {
  return new_handle(type);
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  object(self)->handle->drop();
  type->tp_free(self);
  Py_DECREF(type);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

PyObject* repr(PyObject* self) {
  return PyUnicode_FromFormat("<%s object: ident=%llu>", Py_TYPE(self)->tp_name,
                              static_cast<unsigned long long>(handle_of(self).ident()));
}

PyObject* get_ident_of(PyObject* self, void*) {
  return PyLong_FromUnsignedLongLong(handle_of(self).ident());
}

PyObject* join(PyObject* self, PyObject* arguments) {
  PyObject* timeout = nullptr;
  if (!PyArg_ParseTuple(arguments, "|O:join", &timeout)) return nullptr;
  std::int64_t patience = lot::never;
  if (timeout && timeout != Py_None) {
    if (!seconds_to_nanoseconds(timeout, patience)) return nullptr;
    if (patience < 0) patience = lot::never;
  }
  const ModuleState* const state = state_of(Py_TYPE(self));
  if (!state || !handle_of(self).join(*state, patience)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* is_done(PyObject* self, PyObject*) {
  return PyBool_FromLong(handle_of(self).is_done());
}

PyObject* set_done(PyObject* self, PyObject*) {
  if (!handle_of(self).set_done()) return nullptr;
  Py_RETURN_NONE;
}

PyGetSetDef attributes[] = {
    {"ident", get_ident_of, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"join", join, METH_VARARGS, nullptr},
    {"_set_done", set_done, METH_NOARGS, nullptr},
    {"is_done", is_done, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyTypeObject* make_handle_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_getset, attributes},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  PyType_Spec spec = {"_thread._ThreadHandle", sizeof(HandleObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

PyObject* new_handle(PyTypeObject* handle_type) {
  ThreadHandle* const handle = ThreadHandle::make();
  if (!handle) return PyErr_NoMemory();
  PyObject* const self = handle_type->tp_alloc(handle_type, 0);
  if (self)
    object(self)->handle = handle;
  else
    handle->drop();
  return self;
}

ThreadHandle& handle_of(PyObject* self) {
  return *object(self)->handle;
}

PyObject* make_thread_handle(PyObject* module, PyObject* ident) {
  if (!PyLong_Check(ident)) {
    PyErr_SetString(PyExc_TypeError, "ident must be an integer");
    return nullptr;
  }
  const unsigned long long number = PyLong_AsUnsignedLongLong(ident);
  if (PyErr_Occurred()) return nullptr;
  PyObject* const self = new_handle(state_of(module).handle_type);
  if (self) handle_of(self).started_as(static_cast<Ident>(number));
  return self;
}

}  // namespace underthread::python

#endif
