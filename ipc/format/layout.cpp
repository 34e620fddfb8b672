#include "ipc/format/layout.hpp"

#include <bit>
#include <limits>
#include <optional>

#include "ipc/base/error.hpp"

namespace ipc::inline v1 {
namespace format {
namespace {

/// Throws unless `option`, a member of the options, is within its range.
template <class Value>
void require_in_range(const std::string& channel, const ChannelOptions& options,
                      Value ChannelOptions::*option, const std::string& name,
                      const std::string& unit = {}) {
    const Value value = options.*option;
    const Value least = smallest_options.*option;
    const Value most = largest_options.*option;
    if (value >= least && value <= most) return;
    throw Error(Errc::bad_options, channel,
                name + " is " + std::to_string(value) + ", must be " + std::to_string(least) +
                    " to " + std::to_string(most) + unit,
                "choose a value in that range");
}

/// Of options that are in their ranges.
constexpr Layout lay_out(const ChannelOptions& options) {
    Layout layout{};
    layout.capacity = std::bit_ceil(options.capacity);
    layout.slot_size = round_up(slot_header_size + options.inline_size, slot_alignment);
    layout.region_size =
        options.region_size == 0 ? 0 : round_up(options.region_size, page) + region_allowance;
    layout.max_participants = options.max_participants;
    layout.max_groups = options.max_groups;
    layout.participants_offset = page;
    layout.groups_offset =
        round_up(layout.participants_offset + layout.max_participants * sizeof(Participant), page);
    layout.group_stride = round_up(sizeof(Group) + layout.capacity * 16, page);
    layout.control_size = layout.groups_offset + layout.max_groups * layout.group_stride;
    layout.data_offset = round_up(layout.control_size, area_alignment);
    layout.regions_offset = round_up(layout.capacity * layout.slot_size, page);
    layout.data_size =
        layout.regions_offset + std::uint64_t{layout.max_participants} * layout.region_size;
    layout.object_size = layout.data_offset + layout.data_size;
    return layout;
}

// The ranges leave no sum out of range: sizes of files, and offsets in them, are signed.
static_assert(lay_out(largest_options).object_size <= std::numeric_limits<std::int64_t>::max() / 4);

}  // namespace

Layout layout_of(const std::string& channel, const ChannelOptions& options) {
    require_in_range(channel, options, &ChannelOptions::capacity, "capacity", " messages");
    require_in_range(channel, options, &ChannelOptions::inline_size, "inline_size", " bytes");
    require_in_range(channel, options, &ChannelOptions::region_size, "region_size", " bytes");
    require_in_range(channel, options, &ChannelOptions::max_participants, "max_participants");
    require_in_range(channel, options, &ChannelOptions::max_groups, "max_groups");
    return lay_out(options);
}

namespace {

/// The layout that the options in a header give; nothing when they are out of range. Not an empty
/// layout: a header of zeros would equal that.
std::optional<Layout> recomputed(const std::string& channel, const Preamble& preamble) {
    const Layout& layout = preamble.layout;
    // What the options have no room for would pass as something smaller.
    if (layout.capacity > largest_options.capacity ||
        layout.region_size > largest_options.region_size + region_allowance) {
        return std::nullopt;
    }
    ChannelOptions options;
    options.capacity = static_cast<std::uint32_t>(layout.capacity);
    options.inline_size = preamble.inline_size;
    options.region_size = layout.region_size == 0 ? 0 : layout.region_size - region_allowance;
    options.max_participants = layout.max_participants;
    options.max_groups = layout.max_groups;
    try {
        return layout_of(channel, options);
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

void check(const std::string& channel, const Preamble& preamble, std::uint64_t object_size) {
    if (preamble.magic != magic) {
        throw Error(Errc::corrupt, channel, "the object is not a channel of this library",
                    "remove the file or choose another name");
    }
    if (preamble.version != format_version) {
        throw Error(Errc::incompatible, channel,
                    "format version " + std::to_string(preamble.version) + ", this library reads " +
                        std::to_string(format_version),
                    "use one version of the library in all processes");
    }
    if ((preamble.incompatible_features & ~known_incompatible_features) != 0) {
        throw Error(Errc::incompatible, channel,
                    "it uses features this library does not know (bits " +
                        std::to_string(preamble.incompatible_features) + ")",
                    "use the newer version of the library");
    }
    if (preamble.fingerprint != fingerprint()) {
        throw Error(Errc::incompatible, channel,
                    "fingerprint of the structures is " + std::to_string(preamble.fingerprint) +
                        ", this library has " + std::to_string(fingerprint()),
                    "use one build of the library in all processes");
    }
    const auto require = [&](bool whole, const std::string& what) {
        if (whole) return;
        throw Error(Errc::corrupt, channel, what, "remove the channel and create it again");
    };
    const Layout& layout = preamble.layout;
    require(recomputed(channel, preamble) == layout, "the header's table of areas is damaged");
    const TypeIdentity& type = preamble.type;
    const bool is_bytes = type.size == 0 && type.alignment == 0;
    const bool is_aligned = std::has_single_bit(type.alignment) && type.alignment <= max_alignment;
    require(is_bytes || (type.size != 0 && is_aligned), "the header's message type is damaged");
    require(preamble.temporary <= 1, "the header's options are damaged");
    require(object_size >= layout.object_size,
            "the object is truncated: " + std::to_string(object_size) + " of " +
                std::to_string(layout.object_size) + " bytes");
}

}  // namespace format

MemoryCost memory_cost(const ChannelOptions& options) {
    const auto layout = format::layout_of("", options);
    return {.channel = layout.groups_offset + layout.regions_offset,
            .producer = layout.region_size,
            .group = layout.group_stride,
            .object_size = layout.object_size};
}

}  // namespace ipc::inline v1
