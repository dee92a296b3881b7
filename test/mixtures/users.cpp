// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Functions that each do one thing with weft, and nothing else. Compiled with other settings than the library, each must
// need a name that the library does not have, or have one that no other file calls. `int` where a type of weft's would
// make it so: a program may come by a pointer in other ways.

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>
#include <weft/migration.hpp>
#include <weft/stack.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>
#include <weft/stop_token.hpp>
#include <weft/switch.hpp>
#include <weft/task.hpp>

#include <utility>

#define USER(name, ...)                                                                                                \
    void name(__VA_ARGS__);                                                                                            \
    void name(__VA_ARGS__)

// By names that they need.
USER(user_resumes, void* f) { static_cast<weft::fiber*>(f)->resume(); }
USER(user_suspends, weft::detail::fiber_record* f) { weft::detail::suspend(*f); }
USER(user_suspends_with_a_value, weft::detail::fiber_record* f) { weft::detail::suspend(*f, nullptr); }
USER(user_makes, void* to) { ::new (to) weft::fiber{[] {}}; }
USER(user_makes_with_options, void* to) { ::new (to) weft::fiber{weft::fiber_options{.name = "it"}, [] {}}; }
USER(user_makes_an_empty_one, void* to) { ::new (to) weft::fiber; }
USER(user_destroys, void* f) { static_cast<weft::fiber*>(f)->~fiber(); }
USER(user_is_in, weft::detail::fiber_record** f) { *f = &weft::detail::fiber_access::record(weft::this_fiber::get()); }
USER(user_suspends_itself) { weft::this_fiber::suspend(); }
USER(user_iterates, weft::generator<int>* g) {
    for (const int v : *g) static_cast<void>(v);
}
USER(user_yields, weft::yielder<int>* out) { out->yield(1); }
USER(user_awaits, weft::coroutine_ref<weft::task<void>::promise_type>* co, weft::task<void>* t) {
    co->await(std::move(*t));
}
USER(user_awaits_anywhere, weft::task<void>* t) { weft::await(std::move(*t)); }
USER(user_asks_for_a_stop_token, std::stop_token* to) { *to = weft::this_fiber::get_stop_token(); }
USER(user_makes_a_context, void* to) {
    ::new (to) weft::fiber_context{[](weft::fiber_context&& caller) { return std::move(caller); }};
}
USER(user_resumes_a_context, weft::fiber_context* f) { *f = std::move(*f).resume(); }
USER(user_asks_a_context, weft::fiber_context* f, bool* can) { *can = f->can_resume(); }
USER(user_is_bound, int* n) {
    const weft::thread_bound here{"it"};
    ++*n;
}
USER(user_sets_a_handler) { weft::set_migration_handler(nullptr); }
USER(user_takes_a_stack, void* to) { ::new (to) weft::stack{weft::default_stack_allocator{}.allocate()}; }
USER(user_gives_a_stack, weft::stack* s) { weft::default_stack_allocator{}.deallocate(*s); }
USER(user_has_a_pool, void* to) { ::new (to) weft::stack_pool; }
USER(user_has_a_guarded_stack, void* to) { ::new (to) weft::guarded_stack; }
USER(user_asks_for_guards, int* to) { *to = static_cast<int>(weft::guards()); }
USER(user_measures, void* f, std::size_t* to) { *to = weft::stack_usage(*static_cast<weft::fiber*>(f)); }
USER(user_wants_reports) { weft::report_stack_overflow(); }

// By their own.
USER(user_asks, weft::fiber& f, bool* done) { *done = f.done(); }
USER(user_names, weft::fiber_ref f) { f.set_name("it"); }
USER(user_fetches, weft::fiber& f) { f.prefetch_stack(); }

#if WEFT_SHADOW_CALL_STACK // other settings do not matter to a bare context
USER(user_makes_a_bare_context, weft::context* to, void* top, void (*entry)(weft::transfer)) {
    *to = weft::make_context(top, 4096, entry);
}
USER(user_jumps, weft::transfer* t) { *t = weft::jump_context(t->from, t->data); }
USER(user_jumps_on_top, weft::transfer* t, weft::transfer (*call)(weft::transfer)) {
    *t = weft::ontop_context(t->from, t->data, call);
}
#endif

int main() {}
