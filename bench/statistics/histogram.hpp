#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace ipc::bench {

/// Counts values in log-linear buckets: 1024 to each power of two, so that a bucket's bounds are
/// within 0.1 % of each other and three digits of every percentile are significant. Values below
/// 2048 are exact. Takes 296 KiB, and lives in shared memory as it is.
class Histogram {
public:
    static constexpr unsigned precision_bits = 10;
    static constexpr unsigned value_bits = 46;  ///< larger values count as 2^46 - 1
    static constexpr std::size_t steps = std::size_t{1} << precision_bits;
    static constexpr std::size_t buckets = (value_bits - precision_bits + 1) * steps;

    void add(std::uint64_t value) {
        value = std::min(value, (std::uint64_t{1} << value_bits) - 1);
        ++counts_[bucket_of(value)];
        ++total_;
        if (value > max_) max_ = value;
    }
    /// Counts of another histogram, too.
    void merge(const Histogram& other) {
        for (std::size_t i = 0; i < buckets; ++i)
            counts_[i] += other.counts_[i];
        total_ += other.total_;
        max_ = std::max(max_, other.max_);
    }

    std::uint64_t total() const { return total_; }

    /// The smallest value such that at least `fraction` of all values are not above it, to within
    /// its bucket; 0 when there are none. Of 1 the maximum.
    std::uint64_t quantile(double fraction) const {
        if (fraction >= 1) return max_;
        // Rounded up, so that p99.9 of 100 values is their maximum.
        const double exact = fraction * static_cast<double>(total_);
        auto rank = static_cast<std::uint64_t>(exact);
        if (static_cast<double>(rank) < exact) ++rank;
        rank = std::max<std::uint64_t>(rank, 1);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets; ++i) {
            seen += counts_[i];
            if (seen >= rank) return std::min(middle_of(i), max_);
        }
        return max_;
    }

    static constexpr std::size_t bucket_of(std::uint64_t value) {
        if (value < 2 * steps) return static_cast<std::size_t>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - precision_bits - 1;
        return static_cast<std::size_t>(shift * steps + (value >> shift));
    }
    /// The value that stands for a bucket.
    static constexpr std::uint64_t middle_of(std::size_t bucket) {
        if (bucket < 2 * steps) return bucket;
        const std::size_t shift = bucket / steps - 1;
        const std::uint64_t low = static_cast<std::uint64_t>(bucket - shift * steps) << shift;
        return low + (std::uint64_t{1} << shift) / 2;
    }

private:
    std::array<std::uint64_t, buckets> counts_ = {};
    std::uint64_t total_ = 0;
    std::uint64_t max_ = 0;
};

/// One of those that reports show.
struct Percentile {
    const char* name;
    double fraction;

    /// False when so few of the events lie above that chance decides, or there are none.
    constexpr bool is_sound(std::uint64_t events) const {
        constexpr double fewest_above = 5 - 1e-6;  // 1 - 0.9 is less than 0.1
        if (fraction >= 1) return events > 0;
        return static_cast<double>(events) * (1 - fraction) >= fewest_above;
    }
};
constexpr std::array<Percentile, 6> percentiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}}};

static_assert(Histogram::bucket_of((std::uint64_t{1} << Histogram::value_bits) - 1) ==
              Histogram::buckets - 1);
static_assert(Histogram::bucket_of(2047) == 2047 && Histogram::bucket_of(2048) == 2048 &&
              Histogram::bucket_of(2049) == 2048 && Histogram::middle_of(2048) == 2049);

}  // namespace ipc::bench
