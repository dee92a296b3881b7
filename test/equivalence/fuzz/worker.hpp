// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace fuzz {

/// A thread that runs one function at a time for whoever waits for it.
class worker {
public:
    ~worker() {
        set(ending);
        if (thread_.joinable()) thread_.join();
    }

    /// Returns when `work` has; it must not throw.
    void run(std::function<void()> work) {
        if (!thread_.joinable()) thread_ = std::thread{[this] { loop(); }};
        work_ = std::move(work);
        set(working);
        state_.wait(working);
    }

private:
    enum state { idle, working, ending };

    void set(state to) {
        state_.store(to);
        state_.notify_all();
    }

    void loop() {
        for (;;) {
            state_.wait(idle);
            if (state_.load() == ending) return;
            work_();
            set(idle);
        }
    }

    std::atomic<state> state_{idle};
    std::function<void()> work_;
    std::thread thread_;
};

/// The worker of thread 1, 2, ...; thread 0 is the one that runs the program.
worker& worker_of(unsigned thread);

} // namespace fuzz
