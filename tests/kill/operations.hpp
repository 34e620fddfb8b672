#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/kill/scene.hpp"

namespace ipc::test::kill {

struct Operation {
    std::string name;
    /// Of the publish, receive and ack paths: even the quick pass tries its every instruction.
    bool hot = false;
    /// Builds the scene, in the survivors' process.
    std::function<void(Scene&)> prepare;
    /// In the child: gets ready, then the operation between begin_operation() and end_operation(),
    /// then notes what came out.
    std::function<void(Scene&)> perform;
    /// What a sleeping child waits for, done by the survivors' process.
    std::function<void(Scene&)> counterpart{};
    /// Another process may be faster, and the child waits once more: its course differs from run to
    /// run.
    bool competes = false;
};

/// All of them, in the order of the table.
std::vector<Operation> all_operations();

std::vector<Operation> publish_operations();
std::vector<Operation> receive_operations();
std::vector<Operation> settle_operations();
std::vector<Operation> recovery_operations();
std::vector<Operation> structure_operations();

}
