#pragma once

#include <memory>
#include <utility>

namespace ipc::inline v1::protocol {

/// A reference to something callable that outlives the call it is passed to. Unlike std::function
/// it never allocates.
template <class Signature>
class FunctionRef;

template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
public:
    template <class Callable>
    FunctionRef(const Callable& callable) noexcept
        : object_(std::addressof(callable)),
          call_([](const void* object, Arguments... arguments) -> Result {
              return (*static_cast<const Callable*>(object))(std::forward<Arguments>(arguments)...);
          }) {}

    Result operator()(Arguments... arguments) const {
        return call_(object_, std::forward<Arguments>(arguments)...);
    }

private:
    const void* object_;
    Result (*call_)(const void*, Arguments...);
};

}  // namespace ipc::inline v1::protocol
