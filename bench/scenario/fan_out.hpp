#pragma once

// One publisher, many groups: what one more group costs the publisher.

#include <cstddef>

#include "bench/experiment/experiment.hpp"

namespace ipc::bench {

enum class Audience {
    idle,      ///< lossy, reads nothing
    reading,   ///< reliable, keeps up
    sleeping,  ///< reliable, asleep each time
};

/// The value is the time that publishing 32 bytes takes the publisher, in ns. Readers read between
/// the bursts that are timed.
Measurement fan_out(Audience audience, std::size_t groups, const Effort& effort);

}  // namespace ipc::bench
