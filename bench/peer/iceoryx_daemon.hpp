#pragma once

namespace ipc::bench {

/// iox-roudi, which has to run while iceoryx is used. Started when first needed, and stopped when
/// this process ends.
class IceoryxDaemon {
public:
    static bool is_installed();
    static void ensure();
};

}  // namespace ipc::bench
