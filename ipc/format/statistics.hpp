#pragma once

namespace ipc::inline v1::format {

/// Whether messages are counted, and a sample of them timed. Off only to measure what that costs
/// (bench/statistics_cost.sh): who inspects a channel sees nothing move then.
#if defined(IPC_WITHOUT_STATISTICS)
constexpr bool keeps_statistics = false;
#else
constexpr bool keeps_statistics = true;
#endif

}  // namespace ipc::inline v1::format
