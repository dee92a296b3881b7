// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "program.hpp"

#include "account.hpp"
#include "faults.hpp"

#include <array>
#include <bit>
#include <cstdlib>
#include <exception>

namespace soak {
namespace {

using local = token<thing::local>;

// Keeps what callers keep in registers: as many values as there are, of both kinds.
std::uint64_t hold_registers(host& h, random_source& random) {
    const local here;
    std::uint64_t a = random(), b = random(), c = random(), d = random(), e = random(), f = random();
    double p = random.below(1000), q = random.below(1000), r = random.below(1000), s = random.below(1000);
    double t = random.below(1000), u = random.below(1000), v = random.below(1000), w = random.below(1000);
    for (unsigned n = 2 + random.below(3); n != 0; --n) {
        h.pause();
        a += b ^ n;
        b = mix(b);
        c ^= a;
        d += c;
        e -= d;
        f = (f << 7) ^ e;
        p += q / 3;
        q = q * 1.5 - r;
        r += s / 7;
        s -= p / 9;
        t += u / 11;
        u -= v / 13;
        v += w / 17;
        w += t / 19;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ std::bit_cast<std::uint64_t>(p + q + r + s) ^
           std::bit_cast<std::uint64_t>(t - u - v - w);
}

// Fills each frame and finds it as it was.
[[gnu::noinline]] std::uint64_t recurse(host& h, random_source& random, unsigned depth) {
    const local here;
    std::array<std::uint64_t, 64> frame;
    const std::uint64_t first = random();
    for (std::size_t n = 0; n < frame.size(); ++n) frame[n] = mix(first + n);
    std::uint64_t sum = 0;
    if (random.one_in(3)) h.pause();
    if (depth != 0)
        sum = recurse(h, random, depth - 1);
    else
        h.pause();
    for (std::size_t n = 0; n < frame.size(); ++n) {
        if (frame[n] != mix(first + n)) fail("a frame on a body's stack was overwritten");
        sum += frame[n];
    }
    return sum;
}

std::uint64_t ask(host& h, random_source& random) {
    const std::uint64_t question = random();
    const bool refused = random.one_in(4);
    try {
        const std::uint64_t answer = h.ask(question, refused);
        if (refused) fail("what was refused was answered");
        return answer;
    } catch (const fault& f) {
        if (!refused || f.number() != question) fail("an await threw what another one was to throw");
        h.note(event::thrown);
        return ~question;
    }
}

[[gnu::noinline]] void throw_below(host& h, random_source& random, std::uint64_t number, unsigned depth) {
    const local here;
    if (depth == 0) {
        h.pause();
        throw fault{number};
    }
    if (random.one_in(2)) h.pause();
    throw_below(h, random, number, depth - 1);
}

// Suspends inside of a catch block and throws on what it caught.
std::uint64_t rethrow(host& h, random_source& random) {
    const std::uint64_t number = random();
    const fault* caught = nullptr;
    try {
        try {
            throw_below(h, random, number, random.below(6));
        } catch (const fault& f) {
            caught = &f;
            h.pause();
            if (f.number() != number) fail("the exception in hand was exchanged for another one");
            if (std::uncaught_exceptions() != 0) fail("an exception passes in a catch block");
            throw;
        }
    } catch (const fault& f) {
        if (&f != caught) fail("`throw;` threw another exception than the one in hand");
        h.pause();
        h.note(event::thrown);
        h.note(event::rethrown);
        return f.number();
    }
    fail("an exception did not arrive");
}

// An exception in the catch block of another one.
std::uint64_t throw_in_catch(host& h, random_source& random) {
    const std::uint64_t outer = random(), inner = random();
    std::uint64_t sum = 0;
    std::exception_ptr kept;
    try {
        throw_below(h, random, outer, 1);
    } catch (const fault&) {
        try {
            throw_below(h, random, inner, random.below(3));
        } catch (const fault& second) {
            h.pause();
            sum += second.number();
            kept = std::current_exception();
        }
        h.pause();
        try {
            throw;
        } catch (const fault& again) {
            h.pause();
            sum ^= again.number();
        }
    }
    h.pause();
    if (std::current_exception()) fail("an exception stays in hand after its catch block");
    try {
        std::rethrow_exception(kept);
    } catch (const fault& f) {
        if (f.number() != inner) fail("a kept exception_ptr stands for another exception");
    }
    h.note(event::thrown);
    h.note(event::rethrown);
    if (sum != (inner ^ outer)) fail("nested exceptions were mixed up");
    return sum;
}

// Suspends in a destructor while an exception passes.
std::uint64_t pause_while_throwing(host& h, random_source& random) {
    struct pauses {
        host& h;
        ~pauses() {
            if (!h.endures()) return;
            if (std::uncaught_exceptions() != 1)
                fail("the number of exceptions that pass is wrong before a suspension");
            h.pause();
            if (std::uncaught_exceptions() != 1) fail("the number of exceptions that pass is wrong after a suspension");
        }
    };
    const std::uint64_t number = random();
    try {
        const pauses here{h};
        throw fault{number};
    } catch (const fault& f) {
        h.note(event::thrown);
        return f.number();
    }
}

std::uint64_t swallow(host& h) {
    if (!h.swallows()) return 0;
    try {
        h.pause();
    } catch (...) {
        h.note(event::swallowed);
    }
    h.pause(); // meets what was swallowed
    return 1;
}

struct sorted {
    std::uint64_t key;
    host* h;
};

int compare(const void* a, const void* b) {
    const auto& x = *static_cast<const sorted*>(a);
    const auto& y = *static_cast<const sorted*>(b);
    if ((x.key ^ y.key) % 4 == 0) x.h->pause();
    return x.key < y.key ? -1 : x.key > y.key;
}

// Suspends through frames of C.
std::uint64_t sort(host& h, random_source& random) {
    const local here;
    std::array<sorted, 12> elements;
    for (sorted& e : elements) e = {random(), &h};
    std::qsort(elements.data(), elements.size(), sizeof(sorted), &compare);
    std::uint64_t sum = elements[0].key;
    for (std::size_t n = 1; n < elements.size(); ++n) {
        if (elements[n].key < elements[n - 1].key) fail("an array that was sorted across suspensions is not in order");
        sum = mix(sum ^ elements[n].key);
    }
    h.note(event::sort);
    return sum;
}

} // namespace

std::uint64_t run_program(host& h, std::uint64_t seed, unsigned depth) {
    const local here;
    random_source random{seed};
    std::uint64_t sum = seed;
    for (unsigned left = 2 + random.below(5); left != 0; --left) {
        std::uint64_t result = 0;
        switch (random.below(depth < 2 ? 12 : 9)) {
        case 0:
            result = hold_registers(h, random);
            break;
        case 1:
            result = recurse(h, random, random.below(8));
            h.note(event::recursion);
            break;
        case 2:
            result = ask(h, random);
            break;
        case 3:
            result = rethrow(h, random);
            break;
        case 4:
            result = throw_in_catch(h, random);
            break;
        case 5:
            result = pause_while_throwing(h, random);
            break;
        case 6:
            result = swallow(h) * 0;
            break;
        case 7:
            result = sort(h, random);
            break;
        case 8:
            h.allocate();
            break;
        case 9:
            result = h.run_nested(random(), depth + 1);
            break;
        case 10:
            result = h.sum_nested(random(), 1 + random.below(6));
            break;
        default:
            result = ask(h, random) + ask(h, random);
            break;
        }
        sum = mix(sum ^ result);
    }
    if (depth == 0 && random.one_in(8)) {
        h.pause();
        throw fault{sum};
    }
    return sum;
}

namespace {

class no_body final : public host {
    void pause() override {}
    std::uint64_t ask(std::uint64_t question, bool refused) override {
        if (refused) throw fault{question};
        return answer_to(question);
    }
    std::uint64_t run_nested(std::uint64_t seed, unsigned depth) override { return run_program(*this, seed, depth); }
    std::uint64_t sum_nested(std::uint64_t seed, unsigned count) override {
        std::uint64_t sum = 0;
        for (unsigned n = 0; n < count; ++n) sum += mix(seed + n);
        return sum;
    }
    void allocate() override {}
    void note(event) override {}
    bool endures() const override { return true; }
    bool swallows() const override { return false; }
};

} // namespace

std::uint64_t run_plainly(std::uint64_t seed, unsigned depth) {
    no_body plain;
    return run_program(plain, seed, depth);
}

} // namespace soak
