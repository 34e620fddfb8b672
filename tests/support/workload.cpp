#include "tests/support/workload.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace ipc::test {

using namespace std::chrono_literals;

namespace {

std::uint32_t checksum_of(std::string_view bytes, const Heading& heading) {
    std::uint32_t hash = 2166136261U ^ heading.producer * 31 ^ heading.number;
    for (const char byte : bytes)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
    return hash;
}

void pause(Random& random, unsigned most_microseconds) {
    std::this_thread::sleep_for(std::chrono::microseconds(below(random, most_microseconds)));
}

}  // namespace

std::string make_body(std::uint32_t producer, std::uint32_t number, std::size_t size,
                      Random& random) {
    std::string body(std::max(size, sizeof(Heading)), '\0');
    for (std::size_t i = sizeof(Heading); i < body.size(); ++i)
        body[i] = static_cast<char>(random());
    Heading heading{producer, number, static_cast<std::uint32_t>(body.size()), 0};
    heading.checksum = checksum_of(std::string_view(body).substr(sizeof heading), heading);
    std::memcpy(body.data(), &heading, sizeof heading);
    return body;
}

std::optional<Heading> check_body(std::string_view body) {
    Heading heading;
    if (body.size() < sizeof heading) return std::nullopt;
    std::memcpy(&heading, body.data(), sizeof heading);
    const bool whole = heading.size == body.size() &&
                       heading.checksum == checksum_of(body.substr(sizeof heading), heading);
    return whole ? std::optional(heading) : std::nullopt;
}

bool Fate::note(Step step, std::uint8_t lap) {
    std::uint64_t seen = word_;
    while (seen >> lap_shift == lap) {
        if (count(seen, step) == 0xFF) return true;  // no test needs to count further
        const std::uint64_t next = seen + (std::uint64_t{1} << (8 * step));
        if (word_.compare_exchange_weak(seen, next)) return true;
    }
    return false;
}

bool produce(Producer<>& producer, std::uint32_t id, const ChannelOptions& channel,
             const std::atomic<bool>& stop, Random& random, Output& output,
             Complaints& complaints) {
    const auto make = [&](std::uint32_t number) {
        const bool small = channel.region_size == 0 || chance(random, 50);
        const std::size_t most = small ? channel.inline_size : 2500;
        return make_body(id, number, below(random, most + 1), random);
    };
    const std::uint32_t number = output.finished;
    const auto way = below(random, 8);
    if (way == 0) {
        std::vector<std::string> bodies;
        const auto count = 1 + static_cast<std::uint32_t>(below(random, 6));
        for (std::uint32_t i = 0; i < count; ++i)
            bodies.push_back(make(number + i));
        const std::vector<std::string_view> items(bodies.begin(), bodies.end());
        output.begun = number + static_cast<std::uint32_t>(items.size());
        const auto sent = producer.send_batch_for(items, 20ms);
        output.finished = number + static_cast<std::uint32_t>(sent.count());
    } else if (way == 1 && channel.region_size != 0) {
        const std::string body = make(number);
        output.begun = number + 1;
        auto loan = producer.loan_for(body.size(), 20ms);
        if (!loan || chance(random, 10)) return true;
        std::memcpy(loan.bytes().data(), body.data(), body.size());
        while (!stop) {
            // A loan that could not be published is still there.
            // NOLINTNEXTLINE(bugprone-use-after-move)
            if (const Sent sent = std::move(loan).try_publish()) {
                output.finished = number + 1;
                break;
            }
            std::this_thread::sleep_for(50us);
        }
    } else {
        const std::string body = make(number);
        output.begun = number + 1;
        const Sent sent = way < 4 ? producer.try_send(body) : producer.send_for(body, 20ms);
        if (sent) {
            output.finished = number + 1;
        } else if (sent.status() != Status::full && sent.status() != Status::timed_out) {
            complaints.add("producer %u: send returned %s", id,
                           std::string(to_string(sent.status())).c_str());
            return false;
        }
    }
    if (chance(random, 20)) pause(random, 300);
    return true;
}

void work_on(const Job& job, Random& random, bool drain, Complaints& complaints) {
    const auto& [plan, message, heading, fate, lap, uncertain] = job;
    const char* const group = plan.name.c_str();
    const auto [id, number] = std::pair(heading.producer, heading.number);
    const bool limited = plan.options.lease_limit.count() != 0;
    const unsigned deliveries = fate.count(Fate::delivered);
    const bool settled = fate.count(Fate::ack_ok) != 0 || fate.count(Fate::reject_ok) != 0;
    // From here on the fate is known to be this message's: under a limit it may be another's by
    // now.
    if (!fate.note(Fate::delivered, lap)) {
        if (!limited) complaints.add("%s: message %u.%u outlived its ring", group, id, number);
        return;
    }
    // One whose lease ran out before it noted anything comes after the one who got the message
    // next.
    const bool in_turn = !limited || message.held();
    if (settled && in_turn) {
        complaints.add(
            "%s: message %u.%u delivered after it was settled (position %llu, attempt %u)", group,
            id, number, static_cast<unsigned long long>(message.position()), message.attempt());
    }
    if (deliveries != 0 && message.attempt() == 1 && in_turn) {
        complaints.add("%s: message %u.%u delivered again as attempt 1", group, id, number);
    }
    if (message.attempt() > deliveries + 1 + uncertain) {
        complaints.add("%s: message %u.%u has attempt %u after %u deliveries, %u kills", group, id,
                       number, message.attempt(), deliveries, uncertain);
    }
    if (plan.options.max_attempts != 0 && message.attempt() > plan.options.max_attempts) {
        complaints.add("%s: message %u.%u has attempt %u", group, id, number, message.attempt());
    }
    if (!drain && chance(random, 10)) pause(random, 400);
    const bool still_held = !limited || message.held();
    if (!check_body(message.text()) && still_held && (!limited || message.held())) {
        complaints.add("%s: message %u.%u changed while it was held", group, id, number);
    }
    if (plan.options.ack == Ack::automatic) {
        fate.note(Fate::ack_begun, lap);
        message.release();
        fate.note(Fate::ack_ok, lap);
        return;
    }
    const auto what = drain ? 99 : below(random, 100);
    if (what < plan.nack_percent) {
        (void)message.nack(std::chrono::milliseconds(below(random, 2) * below(random, 15)));
    } else if (what < plan.nack_percent + plan.reject_percent) {
        fate.note(Fate::reject_begun, lap);
        const bool done = static_cast<bool>(message.reject());
        fate.note(done ? Fate::reject_ok : Fate::reject_lost, lap);
    } else {
        fate.note(Fate::ack_begun, lap);
        const Status status = message.ack().status();
        fate.note(status == Status::ok ? Fate::ack_ok : Fate::ack_lost, lap);
        if (status != Status::ok && !limited) {
            complaints.add("%s: ack of %u.%u returned %s", group, id, number,
                           std::string(to_string(status)).c_str());
        }
    }
}

}  // namespace ipc::test
