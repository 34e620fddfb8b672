#pragma once

// What is not fast by being busy: death, and doing nothing.

#include "bench/experiment/experiment.hpp"
#include "bench/transport/transport.hpp"

namespace ipc::bench {

/// A member of a group is killed while it works on a message; another one waits. The value is the
/// time from the kill until the other one has the message, in ns.
Measurement recovery(Waiting survivor, const Effort& effort);

/// Consumers that sleep, with nothing in flight. The value is what they use together, in percent
/// of one core. Takes two seconds longer than other measurements: what still is to be done after
/// the consumers came does not count.
Measurement idle_consumers(std::size_t consumers, const Effort& effort);

}  // namespace ipc::bench
