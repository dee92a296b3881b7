// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "fuzz.hpp"

#include "boost_fiber.hpp"
#include "contract.hpp"
#include "session.hpp"
#include "weft_fiber.hpp"

#include <boost/context/detail/fcontext.hpp>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <memory>

namespace fuzz {
namespace {

struct weft_switch {
    static constexpr bool ontop_can_begin = WEFT_SWITCH_NATIVE;

    static weft::context make(void* top, std::size_t size, void (*entry)(weft::transfer)) {
        return weft::make_context(top, size, entry);
    }
    static weft::transfer jump(weft::context to, void* data) { return weft::jump_context(to, data); }
    static weft::transfer ontop(weft::context to, void* data, weft::transfer (*call)(weft::transfer)) {
        return weft::ontop_context(to, data, call);
    }
};

// Only the names of the types differ.
struct boost_switch {
    static constexpr bool ontop_can_begin = false; // a context that has not run yet: see differences.cpp

    using transfer_t = boost::context::detail::transfer_t;
    template <class To, class From>
    static To as(From* function) {
        return reinterpret_cast<To>(reinterpret_cast<void*>(function));
    }

    static weft::context make(void* top, std::size_t size, void (*entry)(weft::transfer)) {
        return boost::context::detail::make_fcontext(top, size, as<void (*)(transfer_t)>(entry));
    }
    static weft::transfer jump(weft::context to, void* data) {
        const transfer_t t = boost::context::detail::jump_fcontext(to, data);
        return {t.fctx, t.data};
    }
    static weft::transfer ontop(weft::context to, void* data, weft::transfer (*call)(weft::transfer)) {
        const transfer_t t =
            boost::context::detail::ontop_fcontext(to, data, as<transfer_t (*)(transfer_t)>(call));
        return {t.fctx, t.data};
    }
};

#if defined(__aarch64__)
constexpr rounding_owner of_assembly = rounding_owner::thread;
#else
constexpr rounding_owner of_assembly = rounding_owner::context;
#endif
constexpr rounding_owner of_fibers = WEFT_SWITCH_NATIVE ? rounding_owner::thread : of_assembly;

template <class Backend>
trace perform(program code) {
    trace notes;
    notes.reserve(1024);
    session s{code, notes};
    const auto on = std::make_unique<Backend>(s);
    if constexpr (requires { Backend::running; }) Backend::running = on.get();
    s.run(*on);
    return notes;
}

struct candidate {
    const char* name;
    trace (*perform)(program);
    rounding_owner rounding;
};

constexpr std::array candidates{
    candidate{"weft::jump_context", &perform<contract<weft_switch>>, of_assembly},
    candidate{"weft::fiber", &perform<weft_fiber>, of_fibers},
    candidate{"jump_fcontext", &perform<contract<boost_switch>>, of_assembly},
    candidate{"boost::context::fiber", &perform<boost_fiber>, of_assembly},
};

void print_entry(const char* whose, const trace& t, std::size_t i) {
    if (i >= t.size()) {
        std::fprintf(stderr, "  %-24s ends\n", whose);
        return;
    }
    std::fprintf(stderr, "  %-24s flow %u: %s %" PRIu32 "\n", whose, unsigned{t[i].flow},
                 event_names[static_cast<std::size_t>(t[i].what)], t[i].value);
}

bool equal(const char* name, const trace& found, const trace& expected) {
    if (found == expected) return true;
    const auto at = static_cast<std::size_t>(
        std::mismatch(found.begin(), found.end(), expected.begin(), expected.end()).first - found.begin());
    std::fprintf(stderr, "%s parts from the model at entry %zu:\n", name, at);
    for (std::size_t i = at < 5 ? 0 : at - 5; i < at; ++i) print_entry("both", found, i);
    print_entry(name, found, at);
    print_entry("the model", expected, at);
    return false;
}

} // namespace

worker& worker_of(unsigned thread) {
    static std::array<worker, threads - 1> workers;
    return workers[thread - 1];
}

totals& so_far() {
    static totals t;
    return t;
}

void print(const totals& t) {
    std::printf("%" PRIu64 " programs, each on %zu backends and the model; operations done:\n", t.programs, candidates.size());
    for (std::size_t i = 0; i < operation_count; ++i)
        std::printf("  %-13s %10" PRIu64 "%s", operation_names[i], t.operations[i], i % 3 == 2 ? "\n" : "");
    const auto covered = operation_count - static_cast<std::size_t>(std::count(t.operations.begin(), t.operations.end(), 0u));
    std::printf("%zu of %zu operations covered\n", covered, operation_count);
    std::fflush(stdout);
}

bool agree(std::span<const std::uint8_t> bytes) {
    const program code{bytes.first(std::min(bytes.size(), program::longest))};
    totals& t = so_far();
    ++t.programs;
    coverage ignored{};
    const trace by_thread = predict(code, rounding_owner::thread, t.operations);
    const trace by_context = predict(code, rounding_owner::context, ignored);
    bool all = true;
    for (const candidate& c : candidates)
        all &= equal(c.name, c.perform(code), c.rounding == rounding_owner::thread ? by_thread : by_context);
    return all;
}

} // namespace fuzz
