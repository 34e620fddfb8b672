#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ipc::inline v1::format {

/// Durations in log-linear buckets: four to each power of two, so that a bucket's bounds are within
/// 25 % of each other. Bucket 0 starts at 0 ns, the last one takes everything from 7 * 2^40 ns,
/// which are about 2.1 hours.
constexpr std::size_t histogram_buckets = 168;

constexpr std::size_t bucket_of(std::uint64_t nanoseconds) {
    if (nanoseconds < 4) return static_cast<std::size_t>(nanoseconds);
    const auto exponent = static_cast<unsigned>(std::bit_width(nanoseconds)) - 1;
    const std::size_t quarter = (nanoseconds >> (exponent - 2)) & 3;
    const std::size_t bucket = std::size_t{4} * (exponent - 1) + quarter;
    return bucket < histogram_buckets ? bucket : histogram_buckets - 1;
}

/// The smallest duration that falls into a bucket.
constexpr std::uint64_t bucket_floor(std::size_t bucket) {
    if (bucket < 4) return bucket;
    const std::size_t exponent = bucket / 4 + 1;
    return (std::uint64_t{4} + bucket % 4) << (exponent - 2);
}

static_assert(bucket_of(3) == 3 && bucket_of(4) == 4 && bucket_of(8) == 8 && bucket_of(9) == 8);
static_assert(bucket_floor(bucket_of(1'000'000)) <= 1'000'000);

struct Histogram {
    std::array<std::atomic<std::uint64_t>, histogram_buckets> counts;
    std::atomic<std::uint64_t> sum;  ///< of the durations, ns: their mean, exactly

    void add(std::uint64_t nanoseconds) {
        counts[bucket_of(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
        sum.fetch_add(nanoseconds, std::memory_order_relaxed);
    }
    /// For the only writer of this histogram: no read-modify-write.
    void add_alone(std::uint64_t nanoseconds) {
        auto& count = counts[bucket_of(nanoseconds)];
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        sum.store(sum.load(std::memory_order_relaxed) + nanoseconds, std::memory_order_relaxed);
    }
};

}  // namespace ipc::inline v1::format
