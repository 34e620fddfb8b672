#include "bench/peer/peer.hpp"

#ifdef IPC_BENCH_CYCLONE_DDS

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include <dds/dds.h>
#include <dds/ddsc/dds_opcodes.h>
#include <dds/ddsrt/log.h>

#include "bench/system/cpu.hpp"
#include "bench/system/own_name.hpp"

namespace ipc::bench {
namespace {

// Neither multicast nor any other host is needed.
constexpr const char* local_only =
    "<General><Interfaces><NetworkInterface name=\"lo\" multicast=\"false\"/></Interfaces>"
    "</General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
    "<MaxAutoParticipantIndex>64</MaxAutoParticipantIndex><Peers>"
    "<Peer address=\"127.0.0.1\"/></Peers></Discovery>";

constexpr std::uint32_t array_of_bytes = static_cast<std::uint32_t>(DDS_OP_ADR) |
                                         static_cast<std::uint32_t>(DDS_OP_TYPE_ARR) |
                                         static_cast<std::uint32_t>(DDS_OP_SUBTYPE_1BY);

dds_entity_t check(dds_return_t result) {
    if (result < 0) throw std::runtime_error(::dds_strretcode(-result));
    return result;
}

/// A participant with a topic of its own: samples are arrays of bytes of one size.
class Topic {
public:
    Topic(const std::string& name, const LinkOptions& options)
        : size_(static_cast<std::uint32_t>(options.size)),
          operations_({array_of_bytes, 0, size_, DDS_OP_RTS}) {
        ::setenv("CYCLONEDDS_URI", local_only, 0);
        ::dds_set_log_sink([](void*, const dds_log_data_t*) {}, nullptr);
        const Unpinned threads;
        participant_ = check(::dds_create_participant(DDS_DOMAIN_DEFAULT, nullptr, nullptr));
        const dds_topic_descriptor_t descriptor = {
            .m_size = size_,
            .m_align = 1,
            .m_flagset = DDS_TOPIC_FIXED_SIZE,
            .m_nkeys = 0,
            .m_typename = "ipc_bench::Message",
            .m_keys = nullptr,
            .m_nops = 2,
            .m_ops = operations_.data(),
            .m_meta = "",
            .type_information = {},
            .type_mapping = {},
            .restrict_data_representation = 0,
        };
        qos_ = ::dds_create_qos();
        ::dds_qset_reliability(qos_, DDS_RELIABILITY_RELIABLE, DDS_INFINITY);
        ::dds_qset_history(qos_, DDS_HISTORY_KEEP_ALL, 0);
        const auto capacity = static_cast<std::int32_t>(options.capacity);
        ::dds_qset_resource_limits(qos_, capacity, DDS_LENGTH_UNLIMITED, DDS_LENGTH_UNLIMITED);
        topic_ =
            check(::dds_create_topic(participant_, &descriptor, name.c_str(), nullptr, nullptr));
    }
    ~Topic() {
        ::dds_delete_qos(qos_);
        ::dds_delete(participant_);
    }
    Topic(const Topic&) = delete;
    Topic& operator=(const Topic&) = delete;

    dds_entity_t participant() const { return participant_; }
    dds_entity_t writer() const {
        return check(::dds_create_writer(participant_, topic_, qos_, nullptr));
    }
    dds_entity_t reader() const {
        return check(::dds_create_reader(participant_, topic_, qos_, nullptr));
    }
    std::size_t size() const { return size_; }

private:
    std::uint32_t size_;
    std::array<std::uint32_t, 4> operations_;
    dds_entity_t participant_ = 0;
    dds_entity_t topic_ = 0;
    dds_qos_t* qos_ = nullptr;
};

class Sender final : public LinkSender {
public:
    Sender(const std::string& name, const LinkOptions& options)
        : topic_(name, options), writer_(topic_.writer()) {
        dds_publication_matched_status_t status = {};
        while (status.current_count == 0) {
            check(::dds_get_publication_matched_status(writer_, &status));
            ::usleep(1000);
        }
    }
    void send(const std::byte* message) override {
        dds_return_t result = 0;
        while ((result = ::dds_write(writer_, message)) == DDS_RETCODE_TIMEOUT) {
        }
        check(result);
    }

private:
    Topic topic_;
    dds_entity_t writer_;
};

class Receiver final : public LinkReceiver {
public:
    Receiver(const std::string& name, const LinkOptions& options)
        : topic_(name, options),
          reader_(topic_.reader()),
          wait_set_(check(::dds_create_waitset(topic_.participant()))) {
        const dds_entity_t unread = check(::dds_create_readcondition(reader_, DDS_ANY_STATE));
        check(::dds_waitset_attach(wait_set_, unread, 0));
        dds_subscription_matched_status_t status = {};
        while (status.current_count == 0) {
            check(::dds_get_subscription_matched_status(reader_, &status));
            ::usleep(1000);
        }
    }
    void receive(std::byte* message) override {
        while (true) {
            void* sample = message;
            dds_sample_info_t info = {};
            if (check(::dds_take(reader_, &sample, &info, 1, 1)) > 0) {
                if (info.valid_data) return;
                continue;
            }
            check(::dds_waitset_wait(wait_set_, nullptr, 0, DDS_INFINITY));
        }
    }

private:
    Topic topic_;
    dds_entity_t reader_;
    dds_entity_t wait_set_;
};

class Connection final : public Link {
public:
    explicit Connection(const LinkOptions& options) : name_(topic_name()), options_(options) {}
    std::unique_ptr<LinkSender> sender() override {
        return std::make_unique<Sender>(name_, options_);
    }
    std::unique_ptr<LinkReceiver> receiver() override {
        return std::make_unique<Receiver>(name_, options_);
    }

private:
    static std::string topic_name() {
        std::string name = own_name();
        std::replace_if(
            name.begin(), name.end(), [](char c) { return c == '.' || c == '-'; }, '_');
        return name;
    }

    std::string name_;
    LinkOptions options_;
};

}  // namespace

Peer cyclone_dds() {
    return {.name = "Cyclone DDS", .has_threads = true, .connect = [](const auto& options) {
                return std::make_unique<Connection>(options);
            }};
}

}  // namespace ipc::bench

#else

namespace ipc::bench {

Peer cyclone_dds() {
    return {.name = "Cyclone DDS", .absent = "built without cyclonedds-dev"};
}

}  // namespace ipc::bench

#endif
