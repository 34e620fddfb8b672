#include "tools/monitor/record.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/crc.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "ipc/format/histogram.hpp"
#include "ipc/format/layout.hpp"
#include "tools/common/failure.hpp"
#include "tools/common/text.hpp"
#include "tools/monitor/names.hpp"

namespace ipc::tools::monitor {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* format_name = "ipc-monitor record";
constexpr int format_version = 2;

// A longer line is not ours: ten thousand channels take a part of it.
constexpr std::size_t longest_line = std::size_t{256} << 20;

// --- the fields of each structure ---------------------------------------------------------------

template <class Structure, class Value>
struct Field {
    const char* name;
    Value Structure::*member;
};
// clang 14 does not find it itself.
template <class Structure, class Value>
Field(const char*, Value Structure::*) -> Field<Structure, Value>;

template <class Structure>
struct Fields;

template <>
struct Fields<LeaseReport> {
    using S = LeaseReport;
    static constexpr auto list = std::tuple(  //
        Field{"position", &S::position}, Field{"member", &S::member}, Field{"attempt", &S::attempt},
        Field{"kind", &S::kind});
};

template <>
struct Fields<ParticipantReport> {
    using S = ParticipantReport;
    static constexpr auto list =
        std::tuple(Field{"index", &S::index}, Field{"role", &S::role}, Field{"name", &S::name},
                   Field{"pid", &S::pid}, Field{"same_pid_namespace", &S::same_pid_namespace},
                   Field{"alive", &S::alive}, Field{"process_state", &S::process_state},
                   Field{"group", &S::group}, Field{"group_index", &S::group_index},
                   Field{"messages", &S::messages}, Field{"bytes", &S::bytes},
                   Field{"leases_held", &S::leases_held}, Field{"activity", &S::activity},
                   Field{"activity_since_ns", &S::activity_since_ns},
                   Field{"last_received_ns", &S::last_received_ns},
                   Field{"attached_at_ns", &S::attached_at_ns});
};

template <>
struct Fields<GroupReport> {
    using S = GroupReport;
    static constexpr auto list = std::tuple(
        Field{"index", &S::index}, Field{"name", &S::name}, Field{"subscriber", &S::subscriber},
        Field{"reliable", &S::reliable}, Field{"durable", &S::durable},
        Field{"manual_ack", &S::manual_ack}, Field{"max_attempts", &S::max_attempts},
        Field{"lease_limit_ms", &S::lease_limit_ms}, Field{"dead_letter", &S::dead_letter},
        Field{"members", &S::members}, Field{"start", &S::start}, Field{"position", &S::position},
        Field{"settled_below", &S::settled_below}, Field{"backlog", &S::backlog},
        Field{"in_flight", &S::in_flight}, Field{"delayed", &S::delayed},
        Field{"dead_pending", &S::dead_pending}, Field{"delivered", &S::delivered},
        Field{"settled", &S::settled}, Field{"acked", &S::acked},
        Field{"redelivered", &S::redelivered}, Field{"returned", &S::returned},
        Field{"expired", &S::expired}, Field{"recovered", &S::recovered},
        Field{"rejected", &S::rejected}, Field{"dead_lettered", &S::dead_lettered},
        Field{"dropped", &S::dropped}, Field{"aborted", &S::aborted}, Field{"skipped", &S::skipped},
        Field{"purged", &S::purged}, Field{"not_understood", &S::not_understood},
        Field{"oldest_age_ns", &S::oldest_age_ns},
        Field{"oldest_age_at_most_ns", &S::oldest_age_at_most_ns},
        Field{"blocks_producers", &S::blocks_producers}, Field{"leases", &S::leases},
        Field{"service_time", &S::service_time},
        Field{"service_time_sum_ns", &S::service_time_sum_ns},
        Field{"response_time", &S::response_time},
        Field{"response_time_sum_ns", &S::response_time_sum_ns});
};

template <>
struct Fields<ChannelReport> {
    using S = ChannelReport;
    static constexpr auto list = std::tuple(
        Field{"name", &S::name}, Field{"channel_id", &S::channel_id},
        Field{"sampled_at_ns", &S::sampled_at_ns}, Field{"capacity", &S::capacity},
        Field{"inline_size", &S::inline_size}, Field{"region_size", &S::region_size},
        Field{"object_bytes", &S::object_bytes}, Field{"reserved_bytes", &S::reserved_bytes},
        Field{"temporary", &S::temporary}, Field{"closed", &S::closed},
        Field{"removed", &S::removed}, Field{"type_name", &S::type_name}, Field{"first", &S::first},
        Field{"oldest_retained", &S::oldest_retained}, Field{"tail", &S::tail},
        Field{"published", &S::published}, Field{"published_bytes", &S::published_bytes},
        Field{"aborted", &S::aborted}, Field{"blocked_by", &S::blocked_by},
        Field{"participants", &S::participants}, Field{"groups", &S::groups});
};

template <>
struct Fields<Sample> {
    using S = Sample;
    static constexpr auto list = std::tuple(
        Field{"channel", &S::channel}, Field{"problem", &S::problem}, Field{"report", &S::report});
};

template <>
struct Fields<SharedMemorySpace> {
    using S = SharedMemorySpace;
    static constexpr auto list = std::tuple(Field{"total", &S::total}, Field{"free", &S::free});
};

template <>
struct Fields<Snapshot> {
    using S = Snapshot;
    static constexpr auto list =
        std::tuple(Field{"sampled_at_ns", &S::sampled_at_ns},
                   Field{"wall_clock_ns", &S::wall_clock_ns}, Field{"directory", &S::directory},
                   Field{"space", &S::space}, Field{"channels", &S::channels});
};

template <class T>
concept Structure = requires {
    Fields<T>::list;
};

// --- values to JSON -----------------------------------------------------------------------------

template <Structure T>
Json to_json(const T& structure);

template <class T>
requires std::is_arithmetic_v<T> || std::is_same_v<T, std::string> Json to_json(const T& value) {
    return value;
}

Json to_json(char letter) {
    return std::string(1, letter);
}

template <class T>
requires std::is_enum_v<T> Json to_json(T value) {
    return name_of(value);
}

template <Structure T>
Json to_json(const std::vector<T>& structures) {
    Json array = Json::array();
    for (const T& each : structures)
        array.push_back(to_json(each));
    return array;
}

template <Structure T>
Json to_json(const std::optional<T>& structure) {
    return structure ? to_json(*structure) : Json(nullptr);
}

// Most buckets of a histogram are empty: pairs of bucket and count.
Json to_json(const std::vector<std::uint64_t>& histogram) {
    Json array = Json::array();
    for (std::size_t i = 0; i < histogram.size(); ++i) {
        if (histogram[i] != 0) array.push_back({i, histogram[i]});
    }
    return array;
}

// What is as in a new structure is left out.
template <class T>
bool is_initial(const T& value, const T& initial) {
    constexpr bool is_text = std::is_same_v<T, std::string>;
    if constexpr (Structure<T>) {
        return false;
    } else if constexpr (!is_text && requires { value.empty(); }) {
        return value.empty();
    } else if constexpr (requires { value.has_value(); }) {
        return !value.has_value();
    } else {
        return value == initial;
    }
}

template <Structure T>
Json to_json(const T& structure) {
    const T initial;
    Json object = Json::object();
    const auto add = [&](const auto& field) {
        const auto& value = structure.*field.member;
        if (!is_initial(value, initial.*field.member)) object[field.name] = to_json(value);
    };
    std::apply([&](const auto&... field) { (add(field), ...); }, Fields<T>::list);
    return object;
}

// --- and back -----------------------------------------------------------------------------------

// Thrown where a value cannot be what it should be.
struct Damaged {};

void require(bool condition) {
    if (!condition) throw Damaged();
}

template <Structure T>
void from_json(const Json& json, T& structure);

void from_json(const Json& json, bool& value) {
    require(json.is_boolean());
    value = json.get<bool>();
}

template <std::integral T>
void from_json(const Json& json, T& value) {
    require(json.is_number_integer());
    if (json.is_number_unsigned()) {
        const auto number = json.get<std::uint64_t>();
        require(std::in_range<T>(number));
        value = static_cast<T>(number);
    } else {
        const auto number = json.get<std::int64_t>();
        require(std::in_range<T>(number));
        value = static_cast<T>(number);
    }
}

void from_json(const Json& json, std::string& value) {
    require(json.is_string());
    value = json.get<std::string>();
}

void from_json(const Json& json, char& letter) {
    require(json.is_string() && json.get_ref<const std::string&>().size() == 1);
    letter = json.get_ref<const std::string&>()[0];
}

template <class T>
requires std::is_enum_v<T>
void from_json(const Json& json, T& value) {
    require(json.is_string());
    const auto& names = names_of(T{});
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (json.get_ref<const std::string&>() != names[i]) continue;
        value = static_cast<T>(i);
        return;
    }
    throw Damaged();
}

template <Structure T>
void from_json(const Json& json, std::vector<T>& structures) {
    require(json.is_array());
    for (const Json& each : json)
        from_json(each, structures.emplace_back());
}

template <Structure T>
void from_json(const Json& json, std::optional<T>& structure) {
    from_json(json, structure.emplace());
}

void from_json(const Json& json, std::vector<std::uint64_t>& histogram) {
    require(json.is_array());
    histogram.assign(format::histogram_buckets, 0);
    for (const Json& pair : json) {
        require(pair.is_array() && pair.size() == 2);
        std::size_t bucket = 0;
        from_json(pair[0], bucket);
        require(bucket < histogram.size());
        from_json(pair[1], histogram[bucket]);
    }
}

// No report of ours breaks these, whatever is in the shared memory it was read from: figures that
// count what a channel has a limit for, and times of our own clock. Those who show a record divide
// by them, take differences, and loop that often.
template <class T>
void require_sense(const T&) {}

void require_sense(const GroupReport& group) {
    require(group.members <= format::largest_options.max_participants);
}

void require_sense(const ChannelReport& channel) {
    require(channel.capacity > 0 && channel.sampled_at_ns >= 0);
    require(channel.participants.size() <= format::largest_options.max_participants);
    require(channel.groups.size() <= format::largest_options.max_groups);
}

void require_sense(const Snapshot& snapshot) {
    require(snapshot.sampled_at_ns >= 0);
}

template <Structure T>
void from_json(const Json& json, T& structure) {
    require(json.is_object());
    const auto take = [&](const auto& field) {
        const auto found = json.find(field.name);
        if (found != json.end()) from_json(*found, structure.*field.member);
    };
    std::apply([&](const auto&... field) { (take(field), ...); }, Fields<T>::list);
    require_sense(structure);
}

// --- lines --------------------------------------------------------------------------------------

constexpr std::size_t checksum_digits = 8;

std::uint32_t checksum(std::string_view text) {
    boost::crc_32_type crc;
    crc.process_bytes(text.data(), text.size());
    return crc.checksum();
}

std::string line_of(const Json& json) {
    // Names come from shared memory: they may hold anything.
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return fmt::format("{:08x} {}\n", checksum(text), text);
}

Json parse(std::string_view line) {
    require(line.size() > checksum_digits + 1 && line[checksum_digits] == ' ');
    const std::string_view text = line.substr(checksum_digits + 1);
    require(line.substr(0, checksum_digits) == fmt::format("{:08x}", checksum(text)));
    Json json = Json::parse(text, nullptr, false);
    require(json.is_object());
    return json;
}

[[noreturn]] void fail(const std::string& file, const std::string& problem) {
    throw Failure(fmt::format("record {}: {}", file, problem));
}

}  // namespace

// --- writing ------------------------------------------------------------------------------------

RecordWriter::RecordWriter(const std::filesystem::path& file, bool overwrite)
    : name_(file),
      descriptor_(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0666)) {
    if (descriptor_ < 0 && errno == EEXIST && overwrite) {
        is_new_ = false;
        descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_TRUNC, 0666);
    }
    if (descriptor_ < 0) {
        fail(name_, errno == EEXIST ? "exists already; choose another name or add --overwrite"
                                    : std::strerror(errno));
    }
    try {
        write(line_of({{"format", format_name}, {"version", format_version}}));
    } catch (...) {
        close();
        throw;
    }
}

RecordWriter::~RecordWriter() {
    close();
}

void RecordWriter::close() const {
    ::close(descriptor_);
    if (is_new_ && !has_snapshots_) ::unlink(name_.c_str());
}

void RecordWriter::add(const Snapshot& snapshot) {
    write(line_of(to_json(snapshot)));
    has_snapshots_ = true;
}

void RecordWriter::write(const std::string& line) {
    std::string_view left = line;
    while (!left.empty()) {
        const ssize_t written = ::write(descriptor_, left.data(), left.size());
        if (written >= 0) {
            left.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            const int error = errno;
            // No half line stays behind; where that fails, too, readers will notice.
            (void)!::ftruncate(descriptor_, size_);
            fail(name_, std::strerror(error));
        }
    }
    size_ += static_cast<std::int64_t>(line.size());
}

// --- reading ------------------------------------------------------------------------------------

RecordReader::RecordReader(const std::filesystem::path& file)
    : name_(file), file_(file, std::ios::binary) {
    if (!file_.is_open()) fail(name_, std::strerror(errno));
    if (std::filesystem::is_directory(file)) fail(name_, "is a directory");
    constexpr const char* no_record = "is not a record of ipc-monitor";
    Json header;
    try {
        header = parse(next_line().value_or(""));
    } catch (const Damaged&) {
        fail(name_, no_record);
    } catch (const Failure&) {
        fail(name_, no_record);
    }
    const auto format = header.find("format");
    const auto version = header.find("version");
    if (format == header.end() || *format != format_name || version == header.end() ||
        !version->is_number_integer()) {
        fail(name_, no_record);
    }
    if (*version != format_version) {
        fail(name_, fmt::format("has version {}, this program reads version {}; use the "
                                "ipc-monitor that made it",
                                version->dump(), format_version));
    }
}

std::optional<Snapshot> RecordReader::next() {
    const std::optional<std::string> line = next_line();
    if (!line) return std::nullopt;
    try {
        Snapshot snapshot;
        from_json(parse(*line), snapshot);
        require(snapshot.sampled_at_ns >= last_ns_);
        last_ns_ = snapshot.sampled_at_ns;
        return snapshot;
    } catch (const Damaged&) {
        fail(name_, fmt::format("line {} is damaged", line_));
    }
}

std::optional<std::string> RecordReader::next_line() {
    std::string line;
    ++line_;
    for (int c = 0; (c = file_.get()) != std::ifstream::traits_type::eof();) {
        if (c == '\n') return line;
        line += static_cast<char>(c);
        if (line.size() > longest_line) fail(name_, fmt::format("line {} is damaged", line_));
    }
    if (line.empty()) return std::nullopt;
    fail(name_, fmt::format("ends within line {}; whatever wrote it was interrupted", line_));
}

}  // namespace ipc::tools::monitor
