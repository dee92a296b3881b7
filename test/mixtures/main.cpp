// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program of three files, two of which are half.cpp. Each does everything with what the other one has made. Says
// whether the library checks contexts. `torn` and `without a value` are mistakes that such a library reports.

#include "half.hpp"

#include <weft/migration.hpp>

#include <cstdio>
#include <string_view>
#include <thread>

namespace {

int failures = 0;

#define CHECK(...) check(__VA_ARGS__, #__VA_ARGS__)
void check(bool right, const char* what) {
    if (right) return;
    ++failures;
    std::printf("wrong: %s\n", what);
}

void fibers(const half& maker, const half& resumer, const half& suspender) {
    for (int kind = plain; kind != kinds; ++kind)
        for (int round = 0; round < 3; ++round) { // the same fibers once more
            std::string did;
            weft::fiber a = maker.make_fiber(suspender, kind, did), b = maker.make_fiber(suspender, kind, did);
            while (!a.done()) {
                resumer.resume(a);
                resumer.resume(b);
            }
            CHECK(b.done() && did == "ffffff..");
            weft::fiber outer{[&] {
                weft::fiber c = maker.make_fiber(suspender, kind, did);
                resumer.resume(c);
                maker.resume(c);
                if (kind != around_another) resumer.destroy(std::move(c)); // unwinds it
                else while (!c.done()) c.resume();
            }};
            resumer.resume(outer);
            CHECK(outer.done() && did == (kind == around_another ? "ffffff..fff." : "ffffff..ff."));
        }
}

void all_of(const half& maker, const half& user, const half& inside) {
    fibers(maker, user, inside);
    for (const int kind : {plain, with_options}) CHECK(user.sum(maker.make_generator(inside, kind)) == 66);
    CHECK(user.wait(maker.make_body(inside)) == 72);

    std::string did;
    weft::fiber_context other = maker.make_context(inside, did);
    while (other) other = user.resume_context(std::move(other));
    CHECK(did == "cc");
}

// thread_bound is seen wherever it stands.
void migration(const half& user) {
    static int reports = 0;
    weft::set_migration_handler([](const weft::migration_report&) { ++reports; });
    weft::fiber f{[&](weft::fiber_ref self) {
        const weft::thread_bound here{"what belongs to a thread"};
        user.suspend(self);
    }};
    user.resume(f);
    std::thread{[&] { user.resume(f); }}.join();
    CHECK(f.done() && reports == 1);
    reports = 0;
}

// A stray write into what a suspended fiber waits with.
void torn(const half& maker, const half& user) {
    std::string did;
    weft::fiber f = maker.make_fiber(user, plain, did);
    user.resume(f);
    reinterpret_cast<unsigned char*>(&weft::detail::fiber_access::record(f).context)[25] ^= 1; // of its stack pointer
    user.resume(f);
}

void without_a_value(const half& maker, const half& user) {
    static const half* suspender;
    suspender = &user;
    half silent = user;
    silent.yield = [](weft::yielder<int>&, int) { suspender->suspend(weft::this_fiber::get()); };
    user.sum(maker.make_generator(silent, plain));
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view mistake = argc > 1 ? argv[1] : "";
    if (mistake == "torn") {
        torn(first, second);
    } else if (mistake == "without a value") {
        try {
            without_a_value(second, first);
        } catch (const weft::fiber_error& e) {
            std::puts(e.what());
        }
    } else {
        for (const half* maker : {&first, &second})
            for (const half* user : {&first, &second})
                for (const half* inside : {&first, &second}) all_of(*maker, *user, *inside);
        migration(first);
        migration(second);
        std::string did;
        weft::fiber f = first.make_fiber(second, plain, did);
        f.resume();
        const bool checked = weft::detail::fiber_access::record(f).state & weft::detail::checked;
        std::puts(failures ? "something is wrong" : checked ? "all is well, and checked" : "all is well");
    }
    return failures != 0;
}
