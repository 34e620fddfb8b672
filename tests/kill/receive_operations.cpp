#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "ipc/os/clock.hpp"
#include "ipc/protocol/registry.hpp"
#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test::kill {
namespace {

using namespace std::chrono_literals;

void with_backlog(Scene& scene) {
    scene.create();
    scene.publish(2);
    scene.publish(1, 300);
}

/// The first message was handed out once and given back.
void with_returned(Scene& scene) {
    scene.redelivers = true;
    with_backlog(scene);
    auto message = scene.worker->try_receive();
    scene.delivered(workers, message);
    (void)message.nack();
}

/// A survivor holds the first message for longer than the limit of its lease.
void with_expired(Scene& scene) {
    scene.redelivers = true;
    scene.policies.lease_limit = 60s;
    with_backlog(scene);
    const auto member = std::make_shared<std::optional<Consumer<>>>(scene.join());
    const auto held = std::make_shared<Message<>>((*member)->try_receive());
    const unsigned id = scene.delivered(workers, *held);
    const auto memory = memory_of(Scene::name);
    const auto group = static_cast<unsigned>(protocol::find_group(*memory, "workers"));
    const format::Lease lease{memory->lease(group, held->position()).load()};
    // The limit is long, so that only this lease is beyond it.
    memory->deadline(group, held->position())
        .store(format::DeadlineTag::make(os::now_ms() - 1, lease).bits);
    memory->header().swept_at = 0;  // for whoever comes next to look
    scene.afterwards = [&scene, member, held, id] {
        const Status status = held->ack().status();
        if (status != Status::lease_lost) {
            scene.violate("the late ack of message %u, another's by now, returned %s", id,
                          std::string(to_string(status)).c_str());
        }
        held->release();
        member->reset();
    };
}

void take_one(Scene& scene) {
    auto member = scene.join();
    begin_operation();
    auto message = member.try_receive();
    end_operation();
    if (message) scene.work_once(workers, std::move(message));  // none: a survivor was faster
}

/// `before`: messages taken first, so that a lossy reader has its buffer.
auto subscribe_and_take(Delivery delivery, int before = 0) {
    return [delivery, before](Scene& scene) {
        auto reader = scene.open().subscribe({.delivery = delivery, .from = Start::earliest()});
        for (int i = 0; i < before; ++i)
            require(reader.try_receive().status() == Status::ok, "nothing to take before");
        begin_operation();
        auto message = reader.try_receive();
        message.release();
        end_operation();
        require(message.status() == Status::ok, "the subscriber got nothing");
    };
}

void wait_for_one(Scene& scene) {
    auto member = scene.join();
    begin_operation();
    auto message = member.receive_for(60s);
    end_operation();
    if (message) scene.work_once(workers, std::move(message));
}

void publish_one(Scene& scene) {
    scene.read_all();
    scene.send(*scene.producer);
}

}

std::vector<Operation> receive_operations() {
    return {
        {"receive, group", true, with_backlog, take_one},
        {"receive, group, given back before", true, with_returned, take_one},
        {"receive, group, over a lease whose limit has passed", false, with_expired, take_one},
        {"receive, group, nothing there", false, [](Scene& scene) { scene.create(); },
         [](Scene& scene) {
             auto member = scene.join();
             begin_operation();
             auto message = member.try_receive();
             end_operation();
             require(message.status() == Status::empty, "there was a message");
         }},
        {"receive, group, behind a torn message", false,
         [](Scene& scene) {
             scene.create();
             scene.let_die([] { TornProducer(Scene::name).claim(); });
             scene.publish(1);
         },
         take_one},
        {"receive, subscriber", true, with_backlog, subscribe_and_take(Delivery::reliable)},
        {"receive, lossy subscriber", true, with_backlog, subscribe_and_take(Delivery::lossy, 1)},
        {"receive, lossy subscriber, the first", false, with_backlog,
         subscribe_and_take(Delivery::lossy)},
        {"receive, lossy subscriber that fell behind", false,
         [](Scene& scene) {
             scene.create();
             scene.publish(3);
             scene.read_all();
             scene.work_all();
         },
         [](Scene& scene) {
             auto reader =
                 scene.open().subscribe({.delivery = Delivery::lossy, .from = Start::at(0)});
             auto producer = scene.make_producer();
             for (std::uint64_t i = 0; i < scene.options.capacity; ++i)
                 scene.send(producer);
             begin_operation();
             auto message = reader.try_receive();
             message.release();
             end_operation();
             require(reader.skipped() != 0, "the reader did not fall behind");
         }},
        {"receive, lossy group", true, with_backlog,
         [](Scene& scene) {
             auto member = scene.open().join("lossy", {.delivery = Delivery::lossy,
                                                       .lifetime = Lifetime::ephemeral,
                                                       .from = Start::earliest()});
             require(member.try_receive().status() == Status::ok, "nothing to take before");
             begin_operation();
             auto message = member.try_receive();
             message.release();
             end_operation();
             require(message.status() == Status::ok, "the member got nothing");
         }},
        {"receive, group, parked", false, [](Scene& scene) { scene.create(); }, wait_for_one,
         publish_one},
        {"receive, group, woken while another member sleeps on", false,
         [](Scene& scene) {
             scene.create();
             scene.worker.reset();
         },
         wait_for_one,
         [](Scene& scene) {
             // It goes to sleep after the child, so that a message wakes the child alone: when a
             // survivor was faster and the child sleeps again, by being stopped and continued.
             if (scene.helpers.empty()) {
                 scene.start_parked_worker();
             } else {
                 scene.helpers.back().resume();
                 scene.helpers.back().stop();
                 scene.helpers.back().resume();
                 scene.wait_until_parked(scene.helpers.back());
             }
             // A child that is stepped may be slower each time: its last try has no competitor.
             if (scene.is_stepped && ++scene.tries > 3) scene.helpers.back().stop();
             publish_one(scene);
         },
         true},
        {"receive, group, while another member sleeps on", false,
         [](Scene& scene) {
             scene.create();
             scene.worker.reset();
             scene.start_parked_worker();
             scene.sentinel_sleeps = true;
             // Its publisher died before it could wake anybody.
             const unsigned id = scene.new_message(24);
             scene.begin_send(id);
             scene.let_die([text = scene.text(id)] {
                 TornProducer producer(Scene::name);
                 const Position position = producer.claim();
                 producer.write(position, text);
                 producer.make_ready(position);
             });
         },
         take_one},
        {"receive, subscriber, parked", false, [](Scene& scene) { scene.create(); },
         [](Scene& scene) {
             auto reader =
                 scene.open().subscribe({.participant = {.wait_policy = WaitPolicy::parking()}});
             begin_operation();
             auto message = reader.receive_for(60s);
             message.release();
             end_operation();
             require(message.status() == Status::ok, "the subscriber got nothing");
         },
         publish_one},
        {"receive batch, iterated and acknowledged", true, with_backlog,
         [](Scene& scene) {
             auto member = scene.join();
             std::array<unsigned, 2> ids{};
             std::size_t count = 0;
             begin_operation();
             auto batch = member.try_receive_batch(ids.size());
             for (const auto& message : batch) {
                 ids[count] = Scene::id_of(message);
                 scene.begin_fate(workers, ids[count++], Fate::ack_begun);
             }
             const std::size_t acknowledged = batch.ack_all();
             end_operation();
             for (std::size_t i = 0; i < count; ++i)
                 scene.end_fate(workers, ids[i], Fate::acked, Status::ok);
             require(acknowledged == count, "not everything was acknowledged");
         }},
        {"receive batch, subscriber", true, with_backlog,
         [](Scene& scene) {
             auto reader = scene.open().subscribe({.from = Start::earliest()});
             begin_operation();
             auto batch = std::make_optional(reader.try_receive_batch(3));
             const std::size_t received = batch->size();
             batch.reset();
             end_operation();
             require(received == 3, "the subscriber did not get all of it");
         }},
        {"receive batch, half of it given back", false,
         [](Scene& scene) {
             scene.redelivers = true;
             with_backlog(scene);
         },
         [](Scene& scene) {
             auto member = scene.join();
             auto batch = std::make_optional(member.try_receive_batch(3));
             scene.delivered(workers, *batch->begin());
             begin_operation();
             batch.reset();
             end_operation();
         }},
    };
}

}
