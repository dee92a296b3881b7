// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// host OWN USES: a program with fibers loads shared objects with hidden symbols: one that has a copy of weft to itself, in
// as many copies as a program may have plugins, and one that uses what the program uses.

#include "plugin.hpp"

#include <weft/stackful.hpp>

#if LINKING_ASIO
#    include <weft/asio.hpp>

#    include <boost/asio/bind_cancellation_slot.hpp>
#    include <boost/asio/cancellation_signal.hpp>
#    include <boost/asio/co_spawn.hpp>
#    include <boost/asio/io_context.hpp>
#endif

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <unistd.h>

namespace {

void check(bool right, const char* what) {
    if (right) return;
    std::fprintf(stderr, "not so: %s\n", what);
    std::exit(1);
}
#define CHECK(...) check(__VA_ARGS__, #__VA_ARGS__)

struct object {
    explicit object(const std::string& name) : handle{::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)} {
        if (!handle) std::fprintf(stderr, "%s\n", ::dlerror());
        check(handle != nullptr, "the object is loaded");
        offers = static_cast<const plugin*>(::dlsym(handle, "weft_test_plugin"));
        check(offers != nullptr, "the object is a plugin");
    }
    const plugin* operator->() const { return offers; }

    void* handle;
    const plugin* offers;
};

// A copy of weft in the object, beside the program's: each has its fibers, and they may run below each other.
void with_its_own(const object& own) {
    weft::fiber f{[&own](weft::fiber_ref self) {
        for (;;) {
            CHECK(own->sum() == 10);
            try {
                throw std::string("of the program");
            } catch (const std::string& caught) {
                CHECK(own->sum() == 10);
                self.suspend();
                CHECK(own->sum() == 10);
                CHECK(std::uncaught_exceptions() == 0 && caught == "of the program");
            }
        }
    }};
    f.resume();
    std::thread{[&f] { f.resume(); }}.join();
    f.resume();

    // A handle that the object left empty is an empty one here, too, and the other way round.
    weft::fiber handle;
    CHECK(!own->takes(handle));
    own->empty(handle);
    CHECK(!handle && handle.done());
    weft::fiber other = std::move(handle);
    CHECK(!other && !handle);
    try {
        other.resume();
        CHECK(false);
    } catch (const weft::fiber_error& error) {
        CHECK(std::string(error.what()).find("empty fiber") != std::string::npos);
    }
    other = std::move(f);
    CHECK(other && !f);
}

// An object is closed while a thread lives that has used its copy of weft, and keeps stacks for it.
void closed_too_early_for_a_thread(const std::string& name) {
    std::atomic<int> step{0};
    void* handle = nullptr;
    std::thread user{[&] {
        const object own{name};
        handle = own.handle;
        CHECK(own->sum() == 10);
        step = 1;
        step.notify_one();
        step.wait(1);
        weft::fiber{[] {}}.resume();
    }};
    step.wait(0);
    CHECK(::dlclose(handle) == 0);
    step = 2;
    step.notify_one();
    user.join();
    const object again{name};
    CHECK(again->sum() == 10);
    CHECK(::dlclose(again.handle) == 0);
}

void with_the_programs(const object& uses) {
    CHECK(uses->sum() == 10);

    int alive = 0;
    {
        weft::fiber f = uses->make(alive);
        f.resume();
        f.resume();
        CHECK(alive == 1);
        std::thread{[&f] { f.resume(); }}.join();
    } // unwound
    CHECK(alive == 0);

    int sum = 0;
    for (const int v : uses->count(4)) sum += v;
    CHECK(sum == 10);

    int steps = 0;
    weft::fiber here{[&] {
        for (;;) {
            ++steps;
            uses->suspend();
        }
    }};
    here.resume();
    here.resume();
    CHECK(steps == 2);

    weft::fiber fails = uses->failing();
    fails.resume();
    try {
        fails.resume();
        CHECK(false);
    } catch (const weft::fiber_error& error) {
        CHECK(std::string(error.what()) == "of the plugin");
    }
    CHECK(fails.done());
    try {
        uses->fail();
        CHECK(false);
    } catch (const weft::fiber_error&) {
    }
    try {
        uses->suspend();
        CHECK(false);
    } catch (const weft::not_in_fiber&) {
    }
    uses->empty(here);
    CHECK(!here);
}

#if LINKING_ASIO
// An operation that the object starts in a body of the program hears what the body's coroutine is told.
void cancelled_from_here(const object& uses) {
    namespace asio = boost::asio;
    asio::io_context io;
    asio::steady_timer timer{io, std::chrono::hours(1)};
    asio::steady_timer later{io, std::chrono::milliseconds(1)};
    asio::cancellation_signal cancel;
    bool ended = false;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
            return weft::stackful([&](auto&) { uses->wait(timer); });
        },
        asio::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& failure) {
            ended = true;
            try {
                if (failure) std::rethrow_exception(failure);
                CHECK(false);
            } catch (const boost::system::system_error& error) {
                CHECK(error.code() == asio::error::operation_aborted);
            }
        }));
    later.async_wait([&](auto) { cancel.emit(asio::cancellation_type::all); });
    io.run_for(std::chrono::seconds(10));
    CHECK(ended);
}
#endif

} // namespace

int main(int, char** arguments) {
    const std::string own_name = arguments[1];
    const object own{own_name};
    with_its_own(own);
    closed_too_early_for_a_thread(own_name);

    // Many copies: what is kept free for the thread-local variables of later objects is some hundred bytes.
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("weft-plugins-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    for (int i = 0; i < 50; ++i) {
        const std::filesystem::path copy = folder / (std::to_string(i) + ".so");
        std::filesystem::copy_file(own_name, copy);
        const object one{copy.string()};
        std::filesystem::remove(copy);
        CHECK(one->sum() == 10);
        std::thread{[&one] { CHECK(one->sum() == 10); }}.join();
    }
    std::filesystem::remove(folder);

    const object uses{arguments[2]};
    with_the_programs(uses);
#if LINKING_ASIO
    cancelled_from_here(uses);
#endif
    std::puts("50 copies of weft, and one that is shared");
}
