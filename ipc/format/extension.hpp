#pragma once

// Extension headers: what a message has beside its body, right before it.

#include <cstddef>
#include <cstdint>

#include "ipc/format/group.hpp"

namespace ipc::inline v1::format {

/// One extension header: this, then `length` bytes, padded to a multiple of 8. Unknown kinds are
/// skipped.
struct ExtensionHeader {
    std::uint16_t kind;
    std::uint16_t length;
    std::uint32_t reserved;
};
static_assert(sizeof(ExtensionHeader) == 8);

enum class ExtensionKind : std::uint16_t {
    padding = 0,      ///< fills up to the body's alignment
    origin = 1,       ///< DeadLetterOrigin
    correlation = 2,  ///< reserved: correlation id
    key = 3,          ///< reserved
    priority = 4,     ///< reserved
    deadline = 5,     ///< reserved
    user = 6,         ///< reserved: user headers
};

enum class DeadLetterReason : std::uint32_t { rejected = 1, attempts_exhausted = 2 };

/// Where a dead letter comes from.
struct DeadLetterOrigin {
    std::uint64_t channel_id;
    std::uint64_t position;
    std::uint32_t attempts;
    std::uint32_t reason;  ///< DeadLetterReason
    char channel[8 * name_words];
    char group[8 * name_words];
};
static_assert(sizeof(DeadLetterOrigin) == 296);

}  // namespace ipc::inline v1::format
