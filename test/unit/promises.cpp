// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Promises of every shape that the language allows, small ones with one property each: a stackful body of such a
// coroutine type leaves the same trace as a plain coroutine of it.

#include <weft/await.hpp>
#include <weft/stackful.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace {

std::string trace;

/// What a body awaits: suspends, and gives a number.
struct step {
    int number;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) const noexcept { trace += "step;"; }
    int await_resume() const noexcept { return number; }
};

// What initial_suspend and final_suspend return.
template <class Promise>
struct noting_awaiter {
    const char* name;
    explicit noting_awaiter(const char* n) noexcept : name(n) {} // copied by GCC 12, where it is named by a reference
    bool await_ready() noexcept {
        trace += name + std::string(" ready;");
        return false;
    }
    void await_suspend(std::coroutine_handle<Promise> h) noexcept {
        trace += h.promise().number == 3 ? "suspended;" : "not its own promise;";
    }
    void await_resume() noexcept { trace += "resumed;"; }
};
template <class Promise>
struct immovable_awaiter : noting_awaiter<Promise> {
    using noting_awaiter<Promise>::noting_awaiter;
    immovable_awaiter(const immovable_awaiter&) = delete;
};
template <class Promise>
struct by_member {
    const char* name;
    immovable_awaiter<Promise> operator co_await() const noexcept { return immovable_awaiter<Promise>(name); }
};
template <class Promise>
struct by_function {
    noting_awaiter<Promise> awaiter;
    explicit by_function(const char* name) noexcept : awaiter(name) {}
};
template <class Promise>
noting_awaiter<Promise>& operator co_await(by_function<Promise>&& source) noexcept {
    return source.awaiter;
}
template <class Promise>
struct by_transfer : immovable_awaiter<Promise> {
    using immovable_awaiter<Promise>::immovable_awaiter;
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
        noting_awaiter<Promise>::await_suspend(h);
        return std::noop_coroutine();
    }
};
// The shapes: each is `plain`, but for one property.
enum class suspends { always, never, by_member, by_function, by_reference, by_transfer };
enum class transforms { nothing, one_kind, several_kinds, anything_it_says, whatever_has_number };
struct plain {
    using result = int;
    static constexpr auto begins = suspends::always, ends = suspends::always;
    static constexpr auto awaits = transforms::nothing;
    static constexpr bool moves = true, converts = false, fails_without_memory = false, allocates = false;
    static constexpr std::size_t alignment = alignof(void*);
};

template <class Promise, suspends How>
decltype(auto) suspension([[maybe_unused]] noting_awaiter<Promise>& own, [[maybe_unused]] const char* name) noexcept {
    if constexpr (How == suspends::always)
        return std::suspend_always{};
    else if constexpr (How == suspends::never)
        return std::suspend_never{};
    else if constexpr (How == suspends::by_member)
        return by_member<Promise>{name};
    else if constexpr (How == suspends::by_function)
        return by_function<Promise>(name);
    else if constexpr (How == suspends::by_transfer)
        return by_transfer<Promise>(name);
    else
        return (own);
}

/// The coroutine object. Movable or not.
template <class Promise, bool Moves>
struct owner {
    std::coroutine_handle<Promise> handle;
    explicit owner(std::coroutine_handle<Promise> h) noexcept : handle(h) {}
    owner(owner&& other) noexcept
        requires Moves
        : handle(std::exchange(other.handle, nullptr)) {
        trace += "moved;";
    }
    owner(const owner&) = delete;
    ~owner() {
        if (handle) handle.destroy();
    }
};

template <class Shape, bool Final>
struct coroutine;

template <class Result>
struct gives {
    std::unique_ptr<std::remove_reference_t<Result>> value;
    const void* address = nullptr;
    template <class T>
    void return_value(T&& v) {
        trace += "returned;";
        address = std::addressof(v);
        if constexpr (!std::is_reference_v<Result>) value = std::make_unique<Result>(std::forward<T>(v));
    }
};
template <>
struct gives<void> {
    void return_void() { trace += "returned;"; }
};

template <transforms How>
struct transforming {};
template <>
struct transforming<transforms::one_kind> {
    step await_transform(step s) {
        trace += "transformed;";
        return s;
    }
};
template <>
struct transforming<transforms::several_kinds> {
    step await_transform(step s) {
        trace += "transformed;";
        return s;
    }
    std::suspend_never await_transform(int) { return {}; }
};
template <>
struct transforming<transforms::anything_it_says> { // refuses all but one kind, by what no concept sees
    template <class T>
    auto await_transform(T&& t) {
        static_assert(std::is_same_v<std::remove_cvref_t<T>, step>, "steps alone can be awaited here");
        trace += "transformed;";
        return t;
    }
};
template <>
struct transforming<transforms::whatever_has_number> {
    template <class T>
    T&& await_transform(T&& t) const
        requires requires { t.number; }
    {
        trace += "transformed;";
        return std::forward<T>(t);
    }
};

template <bool Allocates>
struct allocating {};
template <>
struct allocating<true> {
    [[gnu::noinline]] static void* operator new(std::size_t size) {
        trace += "new;";
        return std::malloc(size);
    }
    [[gnu::noinline]] static void operator delete(void* frame) {
        trace += "delete;";
        std::free(frame);
    }
};

template <bool Fails, class R>
struct failing {};
template <class R>
struct failing<true, R> {
    static inline bool fail = false;
    static void* operator new(std::size_t size) noexcept { return fail ? nullptr : std::malloc(size); }
    static void operator delete(void* frame, std::size_t) { std::free(frame); }
    static R get_return_object_on_allocation_failure() noexcept {
        trace += "failed;";
        return R(nullptr);
    }
};

template <class Shape, class Self, class R>
struct alignas(Shape::alignment) promise_of_shape : gives<typename Shape::result>,
                                                    transforming<Shape::awaits>,
                                                    allocating<Shape::allocates>,
                                                    failing<Shape::fails_without_memory, R> {
    int number = 3;
    noting_awaiter<Self> at_begin{"begin"}, at_end{"end"};

    promise_of_shape() { trace += reinterpret_cast<std::uintptr_t>(this) % Shape::alignment ? "misaligned;" : "promise;"; }
    promise_of_shape(const promise_of_shape&) = delete;
    ~promise_of_shape() { trace += "~promise;"; }

    auto get_return_object() {
        trace += "object;";
        auto& self = static_cast<Self&>(*this);
        if constexpr (Shape::converts) {
            struct made {
                Self& promise;
                explicit made(Self& p) : promise(p) {}
                made(const made&) = delete;
                operator R() {
                    trace += "converted;";
                    return R(std::coroutine_handle<Self>::from_promise(promise));
                }
            };
            return made(self);
        } else {
            return R(std::coroutine_handle<Self>::from_promise(self));
        }
    }
    decltype(auto) initial_suspend() noexcept { return suspension<Self, Shape::begins>(at_begin, "begin"); }
    decltype(auto) final_suspend() noexcept { return suspension<Self, Shape::ends>(at_end, "end"); }
    void unhandled_exception() { trace += "exception;"; }
};

template <class Shape>
struct open_promise : promise_of_shape<Shape, open_promise<Shape>, coroutine<Shape, false>> {};
template <class Shape>
struct final_promise final : promise_of_shape<Shape, final_promise<Shape>, coroutine<Shape, true>> {};

template <class Shape>
struct coroutine<Shape, false> : owner<open_promise<Shape>, Shape::moves> {
    using promise_type = open_promise<Shape>;
    using owner<open_promise<Shape>, Shape::moves>::owner;
};
template <class Shape>
struct coroutine<Shape, true> : owner<final_promise<Shape>, Shape::moves> {
    using promise_type = final_promise<Shape>;
    using owner<final_promise<Shape>, Shape::moves>::owner;
};

int somewhere = 0;
template <class Result>
Result make_result() {
    if constexpr (std::is_reference_v<Result>)
        return static_cast<Result>(somewhere);
    else if constexpr (std::is_same_v<Result, int>)
        return 5;
    else if constexpr (!std::is_void_v<Result>)
        return std::make_unique<int>(6);
}
enum class ends { well, by_exception };

template <class R, class Result>
R plain_coroutine(ends how) {
    trace += "body;";
    trace += std::to_string(co_await step{1}) + ";";
    if (how == ends::by_exception) throw std::runtime_error("it failed");
    if constexpr (std::is_void_v<Result>)
        co_return;
    else
        co_return make_result<Result>();
}
template <class R, class Result>
R stackful_coroutine(ends how) {
    return weft::stackful<R>([how](auto& co) -> Result {
        trace += "body;";
        trace += std::to_string(co.await(step{1})) + ";";
        if (how == ends::by_exception) throw std::runtime_error("it failed");
        return make_result<Result>();
    });
}

template <class R, class Result>
std::string trace_of(R (*make)(ends), ends how, int resumptions = 99) {
    trace.clear();
    {
        const R made = make(how);
        trace += made.handle ? "made;" : "none;";
        while (made.handle && !made.handle.done() && resumptions-- > 0) {
            trace += "resume;";
            made.handle.resume();
        }
        if constexpr (std::is_reference_v<Result>)
            trace += made.handle.promise().address == &somewhere ? "itself;" : "another;";
        else if constexpr (!std::is_void_v<Result>)
            if (made.handle && made.handle.promise().value) trace += "value;";
    }
    return trace;
}

template <class Shape, bool Final>
void check() {
    using R = coroutine<Shape, Final>;
    using result = typename Shape::result;
    for (const ends how : {ends::well, ends::by_exception})
        for (const int resumptions : {99, 2, 1, 0}) {
            if (std::is_reference_v<result> && (resumptions != 99 || how != ends::well)) continue;
            const std::string expected = trace_of<R, result>(plain_coroutine<R, result>, how, resumptions);
            const std::string found = trace_of<R, result>(stackful_coroutine<R, result>, how, resumptions);
            BOOST_TEST(found == expected);
            BOOST_TEST(expected.find("not its own") == expected.npos);
        }
}

// With each kind of await_transform, and final or not.
template <class Shape>
struct one_kind : Shape {
    static constexpr auto awaits = transforms::one_kind;
};
template <class Shape>
void check_all() {
    BOOST_TEST_CONTEXT("without await_transform") { check<Shape, false>(); }
    BOOST_TEST_CONTEXT("without await_transform, final") { check<Shape, true>(); }
    BOOST_TEST_CONTEXT("with await_transform") { check<one_kind<Shape>, false>(); }
    BOOST_TEST_CONTEXT("with await_transform, final") { check<one_kind<Shape>, true>(); }
}

} // namespace

BOOST_AUTO_TEST_SUITE(shapes)

BOOST_AUTO_TEST_CASE(of_the_plainest) {
    check_all<plain>();
}

struct of_void : plain {
    using result = void;
};
BOOST_AUTO_TEST_CASE(of_nothing) {
    check_all<of_void>();
}

struct of_reference : plain {
    using result = int&;
};
BOOST_AUTO_TEST_CASE(of_a_reference) {
    check_all<of_reference>();
}

struct of_rvalue : plain {
    using result = int&&;
};
BOOST_AUTO_TEST_CASE(of_an_rvalue_reference) {
    check_all<of_rvalue>();
}

struct of_pointer : plain {
    using result = std::unique_ptr<int>;
};
BOOST_AUTO_TEST_CASE(of_what_can_only_be_moved) {
    check_all<of_pointer>();
}

struct at_once : plain {
    static constexpr auto begins = suspends::never;
};
BOOST_AUTO_TEST_CASE(that_begin_at_once) {
    check_all<at_once>();
}

struct by_members : plain {
    static constexpr auto begins = suspends::by_member, ends = suspends::by_member;
};
BOOST_AUTO_TEST_CASE(that_suspend_by_what_has_an_operator_co_await) {
    check_all<by_members>();
}

struct by_functions : plain {
    static constexpr auto begins = suspends::by_function, ends = suspends::by_function;
};
BOOST_AUTO_TEST_CASE(that_suspend_by_what_a_function_makes_an_awaiter) {
    check_all<by_functions>();
}

struct by_references : plain {
    static constexpr auto begins = suspends::by_reference, ends = suspends::by_reference;
};
BOOST_AUTO_TEST_CASE(that_suspend_by_an_awaiter_of_their_own) {
    check_all<by_references>();
}

struct by_transfers : plain {
    static constexpr auto begins = suspends::by_transfer, ends = suspends::by_transfer;
};
BOOST_AUTO_TEST_CASE(that_suspend_by_naming_another_coroutine) {
    check_all<by_transfers>();
}

struct immovable : plain {
    static constexpr bool moves = false;
};
BOOST_AUTO_TEST_CASE(whose_return_object_cannot_be_moved) {
    check_all<immovable>();
}

struct immovable_at_once : immovable {
    static constexpr auto begins = suspends::never;
};
BOOST_AUTO_TEST_CASE(whose_return_object_cannot_be_moved_and_that_begin_at_once) {
    check_all<immovable_at_once>();
}

#if !defined(__clang__) || __clang_major__ >= 17 // Clang 16 converts it too early
struct converting : plain {
    static constexpr bool converts = true;
};
struct converting_at_once : converting {
    static constexpr auto begins = suspends::never;
};
BOOST_AUTO_TEST_CASE(whose_return_object_is_converted) {
    check_all<converting>();
    check_all<converting_at_once>();
}
#endif

struct aligned : plain {
    static constexpr std::size_t alignment = 16;
};
BOOST_AUTO_TEST_CASE(aligned_as_a_frame_can_be) {
    check_all<aligned>();
}

struct allocating_itself : plain {
    static constexpr bool allocates = true;
};
BOOST_AUTO_TEST_CASE(that_allocate) {
    check_all<allocating_itself>();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(await_transforms)

template <transforms How>
struct transforming_as : plain {
    static constexpr auto awaits = How;
};

BOOST_AUTO_TEST_CASE(see_what_the_body_awaits) {
    check<transforming_as<transforms::several_kinds>, false>();
    check<transforming_as<transforms::several_kinds>, true>();
    check<transforming_as<transforms::anything_it_says>, false>();
    check<transforming_as<transforms::whatever_has_number>, false>();
    check<transforming_as<transforms::whatever_has_number>, true>();
}

template <class R>
std::string trace_of_ambient() {
    trace.clear();
    const R made = weft::stackful<R>([](auto& co) {
        try {
            const int n = co.await(step{1});
            trace += std::to_string(n + weft::await(step{2})) + ";";
        } catch (const weft::not_in_fiber&) {
            trace += "not here;";
        }
        return 0;
    });
    while (!made.handle.done()) made.handle.resume();
    return trace.substr(trace.find("transformed"), trace.find("returned") - trace.find("transformed"));
}

BOOST_AUTO_TEST_CASE(are_not_compiled_for_a_weft_await_that_they_may_refuse) {
    {
        const std::string found = trace_of_ambient<coroutine<transforming_as<transforms::anything_it_says>, false>>();
        BOOST_TEST(found == "transformed;step;step;3;");
    }
}

BOOST_AUTO_TEST_CASE(that_do_not_take_a_weft_await_are_passed_by) {
    {
        const std::string found = trace_of_ambient<coroutine<transforming_as<transforms::several_kinds>, false>>();
        BOOST_TEST(found == "transformed;step;not here;");
    }
    {
        const std::string found = trace_of_ambient<coroutine<transforming_as<transforms::one_kind>, true>>();
        BOOST_TEST(found == "transformed;step;not here;");
    }
    {
        const std::string found = trace_of_ambient<coroutine<transforming_as<transforms::whatever_has_number>, false>>();
        BOOST_TEST(found == "transformed;step;not here;");
    }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(failures)

struct without_memory : plain {
    static constexpr bool fails_without_memory = true;
};

template <class Shape, bool Final>
void check_without_memory() {
    using R = coroutine<Shape, Final>;
    check<Shape, Final>();
    R::promise_type::fail = true;
    const std::string expected = trace_of<R, int>(plain_coroutine<R, int>, ends::well);
    BOOST_TEST((trace_of<R, int>(stackful_coroutine<R, int>, ends::well)) == expected);
    BOOST_TEST(expected == "failed;none;");
    R::promise_type::fail = false;
}

BOOST_AUTO_TEST_CASE(of_memory_are_what_the_promise_makes_of_them) {
    check_without_memory<without_memory, false>();
    check_without_memory<without_memory, true>();
    check_without_memory<one_kind<without_memory>, false>();
    check_without_memory<one_kind<without_memory>, true>();
}

/// Its coroutines cannot begin, or not well. `Owns`: its objects destroy them.
template <int Where, bool Owns>
struct cannot_begin {
    struct promise_type {
        static inline int alive = 0;
        promise_type() { ++alive; }
        promise_type(const promise_type&) = delete;
        ~promise_type() { --alive; }
        static int fail_at(int place) {
            if (place == Where) throw std::runtime_error("it failed");
            return place;
        }
        struct awaiter {
            bool await_ready() const { return fail_at(1) == 0; }
            void await_suspend(std::coroutine_handle<>) const { fail_at(2); }
            void await_resume() const { fail_at(3); }
        };
        cannot_begin get_return_object() {
            fail_at(4);
            return cannot_begin(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        awaiter initial_suspend() {
            fail_at(0);
            return {};
        }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept { BOOST_ERROR("it ran"); }
        void unhandled_exception() const noexcept { trace += "unhandled;"; }
        step await_transform(step s) const noexcept { return s; }
    };

    explicit cannot_begin(std::coroutine_handle<promise_type> h) : handle(h) {}
    cannot_begin(cannot_begin&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
    ~cannot_begin() {
        if (Owns && handle) handle.destroy();
    }
    std::coroutine_handle<promise_type> handle;
};

template <int Where, bool Owns>
void check_beginning() {
    using R = cannot_begin<Where, Owns>;
    BOOST_CHECK_THROW((void)weft::stackful<R>([](auto&) {}), std::runtime_error);
    BOOST_TEST(R::promise_type::alive == 0);
}

BOOST_AUTO_TEST_CASE(of_the_beginning_are_thrown_by_the_call_and_leave_nothing) {
    check_beginning<0, false>();
    check_beginning<0, true>();
    check_beginning<1, false>();
    check_beginning<1, true>();
    check_beginning<2, false>();
    check_beginning<2, true>();
    check_beginning<4, false>();
    check_beginning<4, true>();
}

BOOST_AUTO_TEST_CASE(of_the_first_await_resume_are_exceptions_of_the_coroutine) {
    trace.clear();
    {
        const auto made = weft::stackful<cannot_begin<3, true>>([](auto&) {});
        made.handle.resume();
        BOOST_TEST(made.handle.done());
    }
    BOOST_TEST(trace == "unhandled;");
    BOOST_TEST((cannot_begin<3, true>::promise_type::alive == 0));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(parameters)

/// Its promise is final, made from the coroutine's arguments, and allocates with them.
template <bool Transforms>
struct placed_and_final {
    struct promise_base : transforming<Transforms ? transforms::one_kind : transforms::nothing> {
        static void* operator new(std::size_t size, const int& n, const std::string& text) {
            trace += "new " + std::to_string(n) + text + ";";
            return std::malloc(size);
        }
        static void operator delete(void* frame, std::size_t) {
            trace += "delete;";
            std::free(frame);
        }
    };
    struct promise_type final : promise_base {
        promise_type(const int& n, const std::string& text) { trace += "made " + std::to_string(n) + text + ";"; }
        placed_and_final get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

template <bool Transforms>
void check_parameters() {
    trace.clear();
    const auto made = weft::stackful<placed_and_final<Transforms>>(
        [](auto& co, int n, std::string& text) { trace += text + std::to_string(n + co.await(step{2})) + ";"; }, 1,
        std::string("a"));
    made.handle.resume();
    made.handle.resume();
    made.handle.destroy();
    BOOST_TEST(trace == std::string("new 1a;made 1a;") + (Transforms ? "transformed;" : "") + "step;a3;delete;");
}

BOOST_AUTO_TEST_CASE(are_seen_by_a_final_promise) {
    check_parameters<false>();
    check_parameters<true>();
}

BOOST_AUTO_TEST_SUITE_END()
