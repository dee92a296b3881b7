// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Boost's own libraries, unmodified, on weft's switch: linking weft::fcontext is all it takes. Each test asks on the
// fiber's own stack who called its first function: the frame that ends the stack must be weft's.

#define BOOST_ASIO_DISABLE_BOOST_COROUTINE // spawn on Boost.Context only

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/context/continuation.hpp>
#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <boost/coroutine2/coroutine.hpp>
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <unwind.h>

#if defined(WEFT_TEST_SHARED_BOOST)
#    include <dlfcn.h>
#    include <link.h>
#    include <sys/mman.h>
#    include <unistd.h>
#endif

// lib/fcontext/fcontext.S: the functions follow each other in one object.
extern "C" {
void weft_fcontext_entry();
void weft_fcontext_fiber_entry();
}

// The three under either kind of names, whatever the headers of this Boost declare: C's, those of C++ by their mangled ones.
extern "C" {
void c_make() asm("make_fcontext");
void c_jump() asm("jump_fcontext");
void c_ontop() asm("ontop_fcontext");
void cxx_make() asm("_ZN5boost7context6detail13make_fcontextEPvmPFvNS1_10transfer_tEE");
void cxx_jump() asm("_ZN5boost7context6detail13jump_fcontextEPvS2_");
void cxx_ontop() asm("_ZN5boost7context6detail14ontop_fcontextEPvS2_PFNS1_10transfer_tES3_E");
}

namespace {

template <class Function>
std::uintptr_t address(Function* function) {
    return reinterpret_cast<std::uintptr_t>(function);
}

// Does the stack that this runs on end in the trampoline that weft's make_fcontext lays there?
[[gnu::noinline]] bool on_weft() {
    std::uintptr_t last = 0;
    _Unwind_Backtrace(
        [](_Unwind_Context* frame, void* found) {
            if (const std::uintptr_t pc = _Unwind_GetIP(frame)) *static_cast<std::uintptr_t*>(found) = pc; // 0: the end
            return _URC_NO_REASON;
        },
        &last);
    return last > address(&weft_fcontext_entry) && last < address(&weft_fcontext_fiber_entry);
}

namespace context = boost::context;

#if defined(WEFT_TEST_SHARED_BOOST)

// A handle of the libboost_context.so that is loaded, whatever its version.
void* loaded_boost_context() {
    std::string path;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* found) {
            if (!std::strstr(info->dlpi_name, "libboost_context.so")) return 0;
            *static_cast<std::string*>(found) = info->dlpi_name;
            return 1;
        },
        &path);
    BOOST_REQUIRE_MESSAGE(!path.empty(), "Boost is not linked as shared libraries");
    return ::dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
}

// Overwrites a function by instructions that fault.
void make_unusable(void* function) {
#    if defined(__aarch64__)
    static constexpr std::array<unsigned char, 4> trap{0, 0, 0, 0}; // udf
#    else
    static constexpr std::array<unsigned char, 2> trap{0x0f, 0x0b}; // ud2
#    endif
    const auto page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    void* const page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(function) & ~(page_size - 1));
    BOOST_REQUIRE(::mprotect(page, 2 * page_size, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    std::memcpy(function, trap.data(), trap.size());
    __builtin___clear_cache(static_cast<char*>(function), static_cast<char*>(function) + trap.size());
    BOOST_REQUIRE(::mprotect(page, 2 * page_size, PROT_READ | PROT_EXEC) == 0);
}

// First of all tests: after it, Boost's own switch cannot run any more without ending the process.
BOOST_AUTO_TEST_CASE(boost_has_a_switch_of_its_own_that_nobody_uses) {
    void* const boost = loaded_boost_context();
    static constexpr const char* names[3][2] = {
        {"make_fcontext", "_ZN5boost7context6detail13make_fcontextEPvmPFvNS1_10transfer_tEE"},
        {"jump_fcontext", "_ZN5boost7context6detail13jump_fcontextEPvS2_"},
        {"ontop_fcontext", "_ZN5boost7context6detail14ontop_fcontextEPvS2_PFNS1_10transfer_tES3_E"},
    };
    for (const auto& [c, cxx] : names) {
        const char* const name = ::dlsym(boost, c) ? c : cxx; // which of them this Boost has
        void* const theirs = ::dlsym(boost, name);
        void* const used = ::dlsym(RTLD_DEFAULT, name); // what libboost_fiber.so, and any other library, gets
        BOOST_REQUIRE(theirs);
        BOOST_REQUIRE(used);
        BOOST_TEST(used != theirs);
        make_unusable(theirs);
    }
}

#endif

BOOST_AUTO_TEST_CASE(the_three_functions_are_wefts) {
    const auto end = address(&weft_fcontext_entry);
    BOOST_TEST(address(&context::detail::make_fcontext) < address(&context::detail::jump_fcontext));
    BOOST_TEST(address(&context::detail::jump_fcontext) < address(&context::detail::ontop_fcontext));
    BOOST_TEST(address(&context::detail::ontop_fcontext) < end);
    BOOST_TEST(end - address(&context::detail::make_fcontext) < 1024u);
}

BOOST_AUTO_TEST_CASE(they_have_the_names_of_each_boost) {
    BOOST_TEST(address(&c_make) == address(&context::detail::make_fcontext));
    BOOST_TEST(address(&c_jump) == address(&context::detail::jump_fcontext));
    BOOST_TEST(address(&c_ontop) == address(&context::detail::ontop_fcontext));
    BOOST_TEST(address(&cxx_make) == address(&c_make));
    BOOST_TEST(address(&cxx_jump) == address(&c_jump));
    BOOST_TEST(address(&cxx_ontop) == address(&c_ontop));
}

BOOST_AUTO_TEST_CASE(context_fiber) {
    std::vector<int> seen;
    bool weft_runs = false;
    bool unwound = false;
    struct note_end {
        bool& noted;
        ~note_end() { noted = true; }
    };
    context::fiber f{[&](context::fiber&& from) {
        const note_end end{unwound};
        weft_runs = on_weft();
        for (int i = 0;; ++i) {
            seen.push_back(i);
            from = std::move(from).resume();
        }
        return std::move(from);
    }};
    for (int i = 0; i < 3; ++i) f = std::move(f).resume();
    f = std::move(f).resume_with([&](context::fiber&& from) {
        seen.push_back(100);
        return std::move(from);
    });
    BOOST_TEST(weft_runs);
    BOOST_TEST(seen == (std::vector<int>{0, 1, 2, 100, 3}));
    f = {};
    BOOST_TEST(unwound);
}

BOOST_AUTO_TEST_CASE(callcc) {
    int sum = 0;
    bool weft_runs = false;
    context::continuation c = context::callcc([&](context::continuation&& back) {
        weft_runs = on_weft();
        for (int i = 1; i <= 10; ++i) {
            sum += i;
            back = back.resume();
        }
        return std::move(back);
    });
    while (c) c = c.resume();
    BOOST_TEST(weft_runs);
    BOOST_TEST(sum == 55);
}

BOOST_AUTO_TEST_CASE(coroutine2) {
    using coroutine = boost::coroutines2::coroutine<int>;
    bool weft_runs = false;
    coroutine::pull_type fibonacci{[&](coroutine::push_type& out) {
        weft_runs = on_weft();
        for (int a = 0, b = 1; a < 100; b += a, a = b - a) out(a);
        throw std::runtime_error("enough");
    }};
    std::vector<int> values;
    try {
        for (int v : fibonacci) values.push_back(v);
        BOOST_ERROR("the coroutine's exception was lost");
    } catch (const std::runtime_error& e) {
        BOOST_TEST(e.what() == std::string{"enough"});
    }
    BOOST_TEST(weft_runs);
    BOOST_TEST(values == (std::vector<int>{0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89}));
}

BOOST_AUTO_TEST_CASE(fibers) {
    boost::fibers::buffered_channel<int> channel{4};
    boost::fibers::mutex mutex;
    int on_weft_count = 0;
    int sum = 0;
    boost::fibers::fiber producer{[&] {
        if (on_weft()) ++on_weft_count;
        for (int i = 1; i <= 100; ++i) channel.push(i);
        channel.close();
    }};
    std::vector<boost::fibers::fiber> consumers;
    for (int c = 0; c < 3; ++c) {
        consumers.emplace_back([&] {
            if (on_weft()) ++on_weft_count;
            for (int value; channel.pop(value) == boost::fibers::channel_op_status::success;) {
                const std::lock_guard lock{mutex};
                sum += value;
                boost::this_fiber::yield();
            }
        });
    }
    producer.join();
    for (auto& c : consumers) c.join();
    BOOST_TEST(on_weft_count == 4);
    BOOST_TEST(sum == 5050);
}

BOOST_AUTO_TEST_CASE(asio_spawn) {
    boost::asio::io_context io;
    int on_weft_count = 0;
    int waited = 0;
    for (int i = 0; i < 3; ++i) {
        boost::asio::spawn(
            io,
            [&](boost::asio::yield_context yield) {
                if (on_weft()) ++on_weft_count;
                boost::asio::steady_timer timer{io};
                for (int n = 0; n < 5; ++n) {
                    timer.expires_after(std::chrono::milliseconds{1});
                    timer.async_wait(yield);
                    ++waited;
                }
            },
            boost::asio::detached);
    }
    io.run();
    BOOST_TEST(on_weft_count == 3);
    BOOST_TEST(waited == 15);
}

} // namespace
