#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "ipc/protocol/recovery.hpp"
#include "ipc/protocol/tail.hpp"
#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test::kill {
namespace {

using namespace std::chrono_literals;

/// Keeps a handle until the process dies.
template <class Handle>
Handle& keep(Handle handle) {
    static std::vector<std::shared_ptr<void>> kept;
    auto pointer = std::make_shared<Handle>(std::move(handle));
    kept.push_back(pointer);
    return *pointer;
}

// What a process may leave behind. All of it is made by one process, since whoever attaches later
// recovers what is there.

/// One message in a worker's hands, and all others in its batch.
void hold_leases(Scene& scene) {
    auto& member = keep(scene.join());
    auto& batch = keep(member.try_receive_batch(scene.options.capacity));
    scene.delivered(workers, *batch.begin());
}

/// A message that was rejected and is not buried yet.
void hold_dead_pending(Scene& scene) {
    auto& member = keep(scene.join());
    auto& message = keep(member.try_receive());
    const unsigned id = scene.delivered(workers, message);
    scene.begin_fate(workers, id, Fate::reject_begun);
    const auto memory = memory_of(Scene::name);
    const auto group = static_cast<unsigned>(protocol::find_group(*memory, "workers"));
    auto& word = memory->lease(group, message.position());
    const protocol::Lease lease{word.load()};
    word.store(lease.to(protocol::LeaseState::dead_rejected, lease.attempt(), lease.member()).bits);
}

void hold_claim(Scene&) {
    auto& producer = keep(std::make_unique<TornProducer>(Scene::name));
    producer->write(producer->claim(), "torn");
}

void hold_ephemeral_group(Scene& scene) {
    auto& reader = keep(scene.open().subscribe({.from = Start::earliest()}));
    keep(reader.try_receive());
}

/// A group that is not complete yet.
void hold_forming_group(Scene& scene) {
    keep(scene.open().subscribe());
    const auto memory = memory_of(Scene::name);
    auto& status = memory->group(memory->groups_used() - 1).status;
    const format::GroupStatus active{status.load()};
    status.store(
        format::GroupStatus::make(active.incarnation(), active.flags(), format::GroupState::forming)
            .bits);
}

void hold_everything(Scene& scene) {
    hold_dead_pending(scene);
    hold_leases(scene);
    hold_ephemeral_group(scene);
    hold_claim(scene);
    hold_forming_group(scene);
}

auto left_by_the_dead(void (*hold)(Scene&)) {
    return [hold](Scene& scene) {
        scene.create_letters();
        scene.create();
        scene.publish(3);
        scene.let_die([&] { hold(scene); });
    };
}

void sweep_once(Scene&) {
    const auto memory = memory_of(Scene::name);
    begin_operation();
    protocol::sweep(*memory, format::no_participant, nullptr);
    end_operation();
}

void sweep_as_producer(Scene&) {
    const auto memory = memory_of(Scene::name);
    const auto data = memory->map_data_writable();
    const auto ring = memory->ring_of(data);
    begin_operation();
    protocol::sweep(*memory, format::no_participant, &ring);
    end_operation();
}

void attach_producer(Scene& scene) {
    const auto channel = scene.open();
    std::optional<Producer<>> producer;
    begin_operation();
    producer.emplace(channel.producer({.wait_policy = WaitPolicy::parking()}));
    end_operation();
    scene.send(*producer);
}

}

std::vector<Operation> recovery_operations() {
    return {
        {"sweep: leases of the dead", false, left_by_the_dead(hold_leases), sweep_once},
        {"sweep: a dead letter of the dead", false, left_by_the_dead(hold_dead_pending),
         sweep_once},
        {"sweep: an ephemeral group of the dead", false, left_by_the_dead(hold_ephemeral_group),
         sweep_once},
        {"sweep: a group whose first member died", false, left_by_the_dead(hold_forming_group),
         sweep_once},
        {"sweep by a producer: everything", false, left_by_the_dead(hold_everything),
         sweep_as_producer},
        {"attach, recovering everything", false, left_by_the_dead(hold_everything),
         attach_producer},
        {"send over an abandoned claim", false,
         [](Scene& scene) {
             scene.create();
             scene.publish(1);
         },
         [](Scene& scene) {
             // Attached before, so that its attach does not repair the claim.
             auto producer = scene.make_producer();
             scene.let_die([&] { hold_claim(scene); });
             for (std::uint64_t i = 1; i < scene.options.capacity; ++i)
                 scene.send_waiting(producer);
             const unsigned id = scene.new_message(24);
             const std::string text = scene.text(id);
             scene.begin_send(id);
             begin_operation();
             const Sent sent = producer.send(text);
             end_operation();
             scene.end_send(id, sent);
         },
         [](Scene& scene) {
             scene.read_all();
             scene.work_all();
         }},
        {"receive, parked, as the sentinel of a dead member", false,
         [](Scene& scene) {
             scene.create();
             scene.publish(3);
         },
         [](Scene& scene) {
             auto member = scene.join();
             scene.let_die([&] { hold_leases(scene); });
             begin_operation();
             auto message = member.receive_for(60s);
             end_operation();
             if (message) scene.work_once(workers, std::move(message));
         }},
        {"attach, exclusive, after one who was asked to close", false,
         [](Scene& scene) {
             scene.may_close = true;
             scene.create_for_exclusive();
             scene.let_die([&scene] {
                 auto producer = scene.make_producer();
                 scene.send(producer);
                 (void)scene.open().close(1ns);
                 keep(std::move(producer));
             });
         },
         [](Scene& scene) {
             const auto channel = scene.open();
             std::optional<Producer<>> producer;
             begin_operation();
             producer.emplace(channel.exclusive_producer({.wait_policy = WaitPolicy::parking()}));
             end_operation();
         }},
        {"open or create, over a dead temporary channel", false,
         [](Scene& scene) {
             scene.may_create = true;
             scene.options.temporary = true;
             scene.let_die([&scene] {
                 const auto channel = Channel<>::create(Scene::name, scene.options);
                 auto producer = channel.producer({.wait_policy = WaitPolicy::parking()});
                 keep(std::move(producer));
             });
         },
         [](Scene& scene) {
             std::optional<Channel<>> channel;
             begin_operation();
             channel.emplace(Channel<>::open_or_create(Scene::name, scene.options));
             end_operation();
         }},
    };
}

}
