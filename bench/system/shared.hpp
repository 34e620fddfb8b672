#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>

namespace ipc::bench {

/// A T in memory that this process and the children it forks later have in common. All of it is
/// touched here, so that nobody meets a page fault while something is measured.
template <class T>
class Shared {
public:
    Shared() {
        void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
        object_ = new (memory) T();
    }
    ~Shared() {
        std::destroy_at(object_);
        ::munmap(object_, sizeof(T));
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    T& operator*() const { return *object_; }
    T* operator->() const { return object_; }

private:
    T* object_;
};

}  // namespace ipc::bench
