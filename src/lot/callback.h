// A reference to something callable, for calls that end before the caller's own does. Two words, no
// allocation: what runs under a bucket may not allocate.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace underthread::lot {

template <class Signature>
class Callback;

template <class R, class... A>
class Callback<R(A...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Callback>) Callback(F&& function)
  noexcept
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(function)))),
        call_([](void* object, A... arguments) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(arguments...);
        }) {}

  R operator()(A... arguments) const { return call_(object_, arguments...); }

 private:
  void* object_;
  R (*call_)(void*, A...);
};

}  // namespace underthread::lot
