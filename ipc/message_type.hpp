#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "ipc/protocol/lifecycle.hpp"

namespace ipc::inline v1 {

namespace protocol {

/// Types that are pointers at heart. There are more; these are the ones written by mistake.
template <class T>
inline constexpr bool points_elsewhere =
    std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;
template <class C, class Traits>
inline constexpr bool points_elsewhere<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t extent>
inline constexpr bool points_elsewhere<std::span<T, extent>> = true;
template <class T>
inline constexpr bool points_elsewhere<std::reference_wrapper<T>> = true;

}  // namespace protocol

/// What a channel can carry: bytes, or one trivially copyable type, which must mean the same in all
/// processes: no pointers, no views, no handles.
template <class T>
concept Carriable = std::is_trivially_copyable_v<T> && !protocol::points_elsewhere<T> &&
                    alignof(T) <= format::max_alignment;

template <class T>
inline constexpr bool is_bytes = std::is_same_v<T, std::byte>;

namespace protocol {

/// The compiler's spelling of T, cut out of this function's own signature. The same for one
/// compiler; GCC and clang agree on types that are not templates.
template <class T>
constexpr std::string_view type_name() {
    const std::string_view text = __PRETTY_FUNCTION__;
    const std::size_t start = text.find("T = ") + 4;
    // Up to the last bracket; GCC explains its own alias of the return type before that.
    const std::size_t explained = text.find("; std::string_view", start);
    const std::size_t end = explained != text.npos ? explained : text.rfind(']');
    return text.substr(start, end - start);
}

template <class T>
MessageType message_type() {
    if constexpr (is_bytes<T>) {
        return {};
    } else {
        constexpr std::string_view name = type_name<T>();
        return {{format::fnv1a(name.data(), name.size()), sizeof(T), alignof(T)},
                std::string(name)};
    }
}

}  // namespace protocol
}  // namespace ipc::inline v1
