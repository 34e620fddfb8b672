#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "tests/kill/operations.hpp"
#include "tests/kill/traced_child.hpp"
#include "tests/support/torn.hpp"

namespace ipc::test::kill {
namespace {

using namespace std::chrono_literals;

void with_backlog(Scene& scene) {
    scene.create();
    scene.publish(1);
    scene.publish(1, 300);
    scene.publish(1);
}

void redelivering(Scene& scene) {
    scene.redelivers = true;
    with_backlog(scene);
}

void dropping(Scene& scene) {
    scene.may_drop = true;
    with_backlog(scene);
}

void with_letters(Scene& scene) {
    scene.create_letters();
    with_backlog(scene);
}

void make_room(Scene& scene) {
    scene.read_all();
    scene.work_all();
}

/// Every delivery is the last one.
void exhausting(Scene& scene) {
    scene.create_letters();
    scene.policies.max_attempts = 1;
    with_backlog(scene);
}

/// Two of the messages were rejected, and are dead letters; nothing else is left.
void with_rejected(Scene& scene) {
    scene.redrives = true;
    with_letters(scene);
    for (int i = 0; i < 2; ++i) {
        auto message = scene.worker->try_receive();
        const unsigned id = scene.delivered(workers, message);
        scene.begin_fate(workers, id, Fate::reject_begun);
        scene.end_fate(workers, id, Fate::rejected, message.reject().status());
    }
    make_room(scene);
    scene.afterwards = [] { (void)redrive(Scene::letters_name); };
}

using Action = std::function<Status(Message<>&)>;

/// Something done to a message the child holds.
auto settle(Fate begun, Fate done, const Action& action) {
    return [=](Scene& scene) {
        auto member = scene.join();
        auto message = member.try_receive();
        const unsigned id = scene.delivered(workers, message);
        scene.begin_fate(workers, id, begun);
        begin_operation();
        const Status status = action(message);
        end_operation();
        scene.end_fate(workers, id, done, status);
        require(status == Status::ok, "the operation was refused");
    };
}

Status ack(Message<>& message) {
    return message.ack().status();
}
Status reject(Message<>& message) {
    return message.reject().status();
}

}

std::vector<Operation> settle_operations() {
    return {
        {"ack", true, with_backlog, settle(Fate::ack_begun, Fate::acked, ack)},
        {"ack, automatic", true,
         [](Scene& scene) {
             scene.policies.ack = Ack::automatic;
             with_backlog(scene);
         },
         settle(Fate::ack_begun, Fate::acked,
                [](Message<>& message) {
                    message.release();
                    return Status::ok;
                })},
        {"ack, waking a parked producer", false,
         [](Scene& scene) {
             scene.create();
             scene.publish(static_cast<unsigned>(scene.options.capacity));
             scene.read_all();
             scene.start_parked_producer();
         },
         settle(Fate::ack_begun, Fate::acked, ack)},
        {"ack, the last one of a closed channel", false,
         [](Scene& scene) {
             scene.may_close = true;
             scene.create();
             scene.publish(1);
             if (!scene.producer->close()) throw std::runtime_error("close");
         },
         settle(Fate::ack_begun, Fate::acked, ack)},
        {"nack", false, redelivering,
         settle(Fate::open, Fate::open,
                [](Message<>& message) { return message.nack().status(); })},
        {"nack with a delay", false, redelivering,
         settle(Fate::open, Fate::open,
                [](Message<>& message) { return message.nack(20ms).status(); })},
        {"message dropped without an ack", false, redelivering,
         settle(Fate::open, Fate::open,
                [](Message<>& message) {
                    message.release();
                    return Status::ok;
                })},
        {"reject, no dead letters", false, dropping,
         settle(Fate::reject_begun, Fate::rejected, reject)},
        {"reject, dead letter", false, with_letters,
         settle(Fate::reject_begun, Fate::rejected, reject)},
        {"receive, attempts used up: dead letter", false, exhausting,
         [](Scene& scene) {
             auto member = scene.join();
             auto message = member.try_receive();
             scene.delivered(workers, message);
             message.release();
             begin_operation();
             auto next = member.try_receive();
             end_operation();
             if (next) scene.work_once(workers, std::move(next));
         }},
        {"receive, a dead letter that was refused before", false,
         [](Scene& scene) {
             with_letters(scene);
             auto letters_producer = Channel<>::open(Scene::letters_name).producer();
             while (letters_producer.try_send("full")) {
             }
             {
                 auto member = scene.join();
                 auto message = member.try_receive();
                 const unsigned id = scene.delivered(workers, message);
                 scene.begin_fate(workers, id, Fate::reject_begun);
                 scene.end_fate(workers, id, Fate::rejected, message.reject().status());
             }
             while (auto filler = scene.undertaker->try_receive())
                 (void)filler.ack();
         },
         [](Scene& scene) {
             auto member = scene.join();
             begin_operation();
             auto message = member.try_receive();
             end_operation();
             if (message) scene.work_once(workers, std::move(message));
         }},
        {"redrive", false, with_rejected,
         [](Scene&) {
             begin_operation();
             const std::uint64_t moved = redrive(Scene::letters_name);
             end_operation();
             require(moved == 2, "not every dead letter was redriven");
         },
         make_room},
        {"renew", false,
         [](Scene& scene) {
             scene.redelivers = true;
             scene.policies.lease_limit = 60s;
             with_backlog(scene);
         },
         settle(Fate::open, Fate::open,
                [](Message<>& message) { return message.renew().status(); })},
    };
}

}
