// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft/exception_detour.hpp: what callbacks throw below frames of C, and the state of callbacks that are given no
// pointer.

#include "c_callbacks.h"
#include "foreign.hpp"
#include "tracked.hpp"

#include <weft/exception_detour.hpp>
#include <weft/fiber.hpp>
#include <weft/stackful.hpp>
#include <weft/task.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ftw.h>
#include <pthread.h>
#include <unistd.h>

#if WEFT_TEST_LUA
#    include <lua.hpp>
#endif
#if WEFT_TEST_PNG
#    include <png.h>
#endif

using weft::exception_detour;
using weft_test::tracked;

namespace {

struct refused {
    tracked why;
};

// The state of a callback: works three times, then throws.
struct caller {
    exception_detour detour;
    int calls = 0;
    bool throws = true;
    std::function<void()> before = [] {};

    int work() {
        const tracked local;
        ++calls;
        before();
        if (throws && calls == 3) throw refused{tracked{}};
        return calls;
    }
    static caller& of(void* self) { return *static_cast<caller*>(self); }
};

int code(void* self) {
    return caller::of(self).detour.run([&] { return caller::of(self).work(); }, -7);
}
void* pointer(void* self) {
    return caller::of(self).detour.run([&]() -> void* { return caller::of(self).work(), self; }, nullptr);
}
bool boolean(void* self) {
    return caller::of(self).detour.run([&] { caller::of(self).work(); });
}
bool boolean_with_value(void* self) {
    return caller::of(self).detour.run([&] { return caller::of(self).work() != 0; }, false);
}
void jumping(c_jumper* jumper, void* self) {
    if (!caller::of(self).detour.run([&] { caller::of(self).work(); })) c_fail(jumper);
}

// Calls C; the function fails, and with it what `fails` says.
template <class Call>
void check_refusal(Call call) {
    const int alive = tracked::alive();
    for (const bool in_fiber : {false, true}) {
        caller c;
        bool thrown = false;
        const auto body = [&] {
            BOOST_TEST(call(c));
            BOOST_TEST(c.detour.failed());
            BOOST_TEST(c_open_calls == 0);
            try {
                c.detour.rethrow();
            } catch (const refused& r) {
                thrown = r.why.value() == tracked{}.value();
            }
            BOOST_TEST(!c.detour.failed());
            c.detour.rethrow(); // nothing is left
            c.calls = 10;       // and the detour can be used again
            BOOST_TEST(!call(c));
            BOOST_TEST(c.calls == 15);
        };
        if (in_fiber) {
            c.before = [] { weft::this_fiber::suspend(); };
            weft::fiber f{body};
            while (!f.done()) f.resume();
        } else {
            body();
        }
        BOOST_TEST(thrown);
    }
    BOOST_TEST(tracked::alive() == alive);
}

} // namespace

BOOST_AUTO_TEST_SUITE(detours)

BOOST_AUTO_TEST_CASE(a_callback_with_an_error_code) {
    check_refusal([](caller& c) { return c_with_code(&code, &c) == -7; });
}

BOOST_AUTO_TEST_CASE(a_callback_with_a_pointer) {
    check_refusal([](caller& c) { return c_with_pointer(&pointer, &c) == nullptr; });
}

BOOST_AUTO_TEST_CASE(a_callback_with_a_bool) {
    check_refusal([](caller& c) { return !c_with_bool(&boolean, &c); });
    check_refusal([](caller& c) { return !c_with_bool(&boolean_with_value, &c); });
}

BOOST_AUTO_TEST_CASE(a_callback_that_leaves_by_longjmp) {
    check_refusal([](caller& c) { return c_with_jump(&jumping, &c) == -1; });
}

// A library that goes on in spite of the failure does not get to the callback's work again.
BOOST_AUTO_TEST_CASE(nothing_is_called_behind_what_was_thrown) {
    caller c;
    BOOST_TEST(c_without_error(&code, &c) == 1 + 2 - 7 - 7 - 7);
    BOOST_TEST(c.calls == 3);
    BOOST_CHECK_THROW(c.detour.rethrow(), refused);
}

BOOST_AUTO_TEST_CASE(what_is_never_rethrown_is_dropped) {
    const int alive = tracked::alive();
    {
        caller c;
        c_with_code(&code, &c);
        BOOST_TEST(tracked::alive() == alive + 1);
    }
    BOOST_TEST(tracked::alive() == alive);
}

// A body that waits in a callback is destroyed: each C function returns, and then the body is unwound.
BOOST_AUTO_TEST_CASE(forced_unwinding_takes_the_same_way) {
    const int alive = tracked::alive();
    const std::function<bool(caller&)> calls[]{
        [](caller& c) { return c_with_code(&code, &c) == -7; }, [](caller& c) { return !c_with_pointer(&pointer, &c); },
        [](caller& c) { return !c_with_bool(&boolean, &c); }, [](caller& c) { return c_with_jump(&jumping, &c) == -1; },
        [](caller& c) { return c_without_error(&code, &c) == 1 - 7 * 4; }};
    for (const auto& call : calls) {
        bool returned = false, went_on = false;
        {
            weft::fiber f{[&] {
                caller c;
                c.before = [&] {
                    if (c.calls == 2) weft::this_fiber::suspend();
                };
                returned = call(c);
                c.detour.rethrow();
                went_on = true;
            }};
            f.resume();
            BOOST_TEST(!f.done());
            BOOST_TEST(c_open_calls == 1);
        }
        BOOST_TEST(returned);
        BOOST_TEST(!went_on);
        BOOST_TEST(c_open_calls == 0);
    }
    BOOST_TEST(tracked::alive() == alive);
}

BOOST_AUTO_TEST_CASE(through_an_await) {
    const auto failing = []() -> weft::task<int> {
        throw refused{tracked{}};
        co_return 1;
    };
    const auto body = [&]() -> weft::task<int> {
        return weft::stackful([&](auto&) {
            exception_detour detour;
            const auto ask = [&] { return detour.run([&] { return weft::await(failing()); }, -1); };
            const int result = c_with_code([](void* fn) { return (*static_cast<decltype(&ask)>(fn))(); },
                                           const_cast<void*>(static_cast<const void*>(&ask)));
            BOOST_TEST(result == -1);
            detour.rethrow();
            return result;
        });
    };
    BOOST_CHECK_THROW(weft::sync_wait(body()), refused);
}

// What no exception_ptr holds passes through the C frames: an exception of another language, and the end of a thread.
BOOST_AUTO_TEST_CASE(a_foreign_exception_passes) {
    caller c;
    c.before = [] { weft_test::raise_foreign(); };
    BOOST_TEST(weft_test::lets_foreign_out([&] { c_with_code(&code, &c); }));
    c_open_calls = 0; // it has passed through
    BOOST_TEST(!c.detour.failed());
}

#if defined(__GLIBC__) && !WEFT_TSAN && !WEFT_ASAN
BOOST_AUTO_TEST_CASE(the_end_of_a_thread_passes) {
    static std::atomic<int> unwound = 0;
    static bool in_fiber = false;
    for (const bool fiber : {false, true}) {
        in_fiber = fiber;
        unwound = 0;
        pthread_t thread;
        const auto run = [](void*) -> void* {
            struct unwinds {
                ~unwinds() { ++unwound; }
            } const of_thread;
            const auto body = [] {
                const unwinds of_body;
                caller c;
                c.before = [] { ::pthread_exit(nullptr); };
                c_with_code(&code, &c);
                unwound = -10;
            };
            if (in_fiber)
                weft::fiber{body}.resume();
            else
                body();
            unwound = -10;
            return nullptr;
        };
        BOOST_REQUIRE(::pthread_create(&thread, nullptr, run, nullptr) == 0);
        ::pthread_join(thread, nullptr);
        BOOST_TEST(unwound == 2);
        c_open_calls = 0;
    }
}
#endif

#if WEFT_TEST_LUA
// Lua leaves the frames of a function that fails by longjmp, to the lua_pcall in the same body.
BOOST_AUTO_TEST_CASE(around_lua) {
    const int alive = tracked::alive();
    for (const bool destroyed : {false, true}) {
        bool rethrown = false;
        {
            weft::fiber f{[&] {
                caller c;
                c.before = [] { weft::this_fiber::suspend(); };
                const std::unique_ptr<lua_State, decltype([](lua_State* l) { lua_close(l); })> lua{luaL_newstate()};
                lua_pushlightuserdata(lua.get(), &c);
                lua_pushcclosure(
                    lua.get(),
                    [](lua_State* l) -> int {
                        caller& state = *static_cast<caller*>(lua_touserdata(l, lua_upvalueindex(1)));
                        if (!state.detour.run([&] { lua_pushinteger(l, state.work()); }))
                            return luaL_error(l, "it failed");
                        return 1;
                    },
                    1);
                lua_setglobal(lua.get(), "work");
                luaL_loadstring(lua.get(), "for n = 1, 5 do work() end");
                const int result = lua_pcall(lua.get(), 0, 0, 0);
                BOOST_TEST(result == LUA_ERRRUN);
                BOOST_TEST(c.detour.failed());
                try {
                    c.detour.rethrow();
                } catch (const refused&) {
                    rethrown = true;
                }
            }};
            for (int n = 0; n < (destroyed ? 2 : 4); ++n) f.resume();
            BOOST_TEST(f.done() == !destroyed);
        }
        BOOST_TEST(rethrown == !destroyed);
    }
    BOOST_TEST(tracked::alive() == alive);
}
#endif

#if WEFT_TEST_PNG
// So does libpng, to the setjmp of whoever reads.
BOOST_AUTO_TEST_CASE(around_libpng) {
    const int alive = tracked::alive();
    for (const bool destroyed : {false, true}) {
        bool rethrown = false;
        {
            weft::fiber f{[&] {
                caller c;
                c.before = [] { weft::this_fiber::suspend(); };
                png_structp png = png_create_read_struct(
                    PNG_LIBPNG_VER_STRING, nullptr, [](png_structp p, png_const_charp) { png_longjmp(p, 1); },
                    [](png_structp, png_const_charp) {});
                png_infop info = png_create_info_struct(png);
                const auto fails = [&]() -> bool {
                    if (setjmp(png_jmpbuf(png))) return true;
                    png_set_read_fn(png, &c, [](png_structp p, png_bytep to, std::size_t size) {
                        caller& state = *static_cast<caller*>(png_get_io_ptr(p));
                        const bool read = state.detour.run([&] {
                            state.work();
                            static constexpr unsigned char begin[]{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0,
                                                                   0,    13,  'I', 'H', 'D',  'R',  0,    0,    0, 1};
                            static std::size_t at = 0;
                            if (state.calls == 1) at = 0;
                            for (std::size_t n = 0; n < size; ++n) to[n] = begin[at++ % sizeof begin];
                        });
                        if (!read) png_error(p, "it failed");
                    });
                    png_read_info(png, info);
                    return false;
                };
                BOOST_TEST(fails());
                png_destroy_read_struct(&png, &info, nullptr);
                BOOST_TEST(c.detour.failed());
                try {
                    c.detour.rethrow();
                } catch (const refused&) {
                    rethrown = true;
                }
            }};
            for (int n = 0; n < (destroyed ? 2 : 4) && !f.done(); ++n) f.resume();
            BOOST_TEST(f.done() == !destroyed);
        }
        BOOST_TEST(rethrown == !destroyed);
    }
    BOOST_TEST(tracked::alive() == alive);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

// ---------------------------------------------------------------------------------------------------------------------
// The pattern in the header's comment, for callbacks that are given no pointer.
BOOST_AUTO_TEST_SUITE(without_user_data)

struct order {
    int id = 0;
    exception_detour detour;
    std::vector<int> numbers;
    int comparisons = 0;
    int throws_at = -1;
    int wrong = 0;
    std::set<std::string> found;

    int ask(const void* a, const void* b) {
        weft::this_fiber::suspend(); // others sort meanwhile, and this one may go on elsewhere
        if (++comparisons == throws_at) throw refused{tracked{}};
        const int x = *static_cast<const int*>(a), y = *static_cast<const int*>(b);
        wrong += x / 1000 != id || y / 1000 != id;
        return (x > y) - (x < y);
    }
};

thread_local order* current = nullptr;
[[gnu::noinline]] void set_current(order* o) {
    current = o;
}
[[gnu::noinline]] order* get_current() {
    return current;
}

int compare(const void* a, const void* b) {
    order& mine = *get_current();
    const int result = mine.detour.run([&] { return mine.ask(a, b); }, 0);
    set_current(&mine);
    return result;
}
void sort(order& mine) {
    set_current(&mine);
    std::qsort(mine.numbers.data(), mine.numbers.size(), sizeof(int), compare);
    mine.detour.rethrow();
}

std::vector<order> orders(int count) {
    std::vector<order> all(static_cast<std::size_t>(count));
    for (int id = 0; id < count; ++id) {
        all[static_cast<std::size_t>(id)].id = id;
        for (int n = 0; n < 30; ++n) all[static_cast<std::size_t>(id)].numbers.push_back(id * 1000 + (n * 7 + id) % 30);
    }
    return all;
}

void check_sorted(const std::vector<order>& all) {
    for (const order& o : all) {
        BOOST_TEST(std::is_sorted(o.numbers.begin(), o.numbers.end()));
        BOOST_TEST(o.wrong == 0);
        BOOST_TEST(o.comparisons >= 29);
    }
}

BOOST_AUTO_TEST_CASE(qsort_of_several_bodies_on_one_thread) {
    std::vector<order> all = orders(5);
    std::vector<weft::fiber> bodies;
    for (order& o : all) bodies.emplace_back([&o] { sort(o); });
    for (bool going_on = true; going_on;) {
        going_on = false;
        for (weft::fiber& f : bodies)
            if (!f.done()) {
                f.resume();
                going_on = true;
            }
    }
    check_sorted(all);
}

BOOST_AUTO_TEST_CASE(qsort_that_changes_threads_at_every_comparison) {
    std::vector<order> all = orders(3);
    std::vector<weft::fiber> bodies;
    for (order& o : all) bodies.emplace_back([&o] { sort(o); });
    for (bool going_on = true; going_on;) {
        going_on = false;
        std::rotate(bodies.begin(), bodies.begin() + 1, bodies.end());
        std::thread{[&] {
            for (weft::fiber& f : bodies)
                if (!f.done()) f.resume();
        }}.join();
        for (const weft::fiber& f : bodies) going_on |= !f.done();
    }
    check_sorted(all);
}

BOOST_AUTO_TEST_CASE(qsort_whose_comparator_throws) {
    std::vector<order> all = orders(2);
    all[0].throws_at = 10;
    weft::fiber bad{[&] { sort(all[0]); }}, good{[&] { sort(all[1]); }};
    bool thrown = false;
    while (!bad.done() || !good.done()) {
        try {
            if (!bad.done()) bad.resume();
        } catch (const refused&) {
            thrown = true;
        }
        if (!good.done()) good.resume();
    }
    BOOST_TEST(thrown);
    BOOST_TEST(all[0].comparisons == 10);
    BOOST_TEST(all[1].wrong == 0);
    BOOST_TEST(std::is_sorted(all[1].numbers.begin(), all[1].numbers.end()));
}

int visit(const char* path, const struct stat*, int, FTW*) {
    order& mine = *get_current();
    const int result = mine.detour.run(
        [&] {
            weft::this_fiber::suspend();
            mine.found.insert(std::filesystem::path{path}.filename().string());
            return 0;
        },
        -1);
    set_current(&mine);
    return result;
}

BOOST_AUTO_TEST_CASE(nftw_of_two_folders) {
    std::string place = (std::filesystem::temp_directory_path() / "weft_nftw_XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(place.data()));
    std::vector<order> all(2);
    std::vector<weft::fiber> bodies;
    for (int id = 0; id < 2; ++id) {
        const std::filesystem::path folder = std::filesystem::path{place} / std::to_string(id);
        std::filesystem::create_directory(folder);
        for (int n = 0; n < 5; ++n) std::ofstream{folder / (std::to_string(id) + "-" + std::to_string(n))} << n;
        bodies.emplace_back([&mine = all[static_cast<std::size_t>(id)], folder = folder.string()] {
            set_current(&mine);
            BOOST_TEST(::nftw(folder.c_str(), visit, 8, FTW_PHYS) == 0);
            mine.detour.rethrow();
        });
    }
    while (!bodies[0].done() || !bodies[1].done())
        for (weft::fiber& f : bodies)
            if (!f.done()) f.resume();
    for (int id = 0; id < 2; ++id) {
        const std::string name = std::to_string(id);
        const std::set<std::string> expected{name, name + "-0", name + "-1", name + "-2", name + "-3", name + "-4"};
        BOOST_TEST((all[static_cast<std::size_t>(id)].found == expected));
    }
    std::filesystem::remove_all(place);
}

BOOST_AUTO_TEST_SUITE_END()
