// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: a body cannot await this sender: it asks its receiver for something other than a stop token
// before: GNU 6, Clang 2

#include "../small_senders.hpp"
#define WEFT_EXECUTION_NAMESPACE small_senders
#include <weft/senders.hpp>

struct needs_scheduler {
    using sender_concept = small_senders::sender_tag;
    template <class Self, class Env>
        requires requires(const Env& env) { env.scheduler(); }
    static consteval small_senders::completion_signatures<small_senders::set_value_t()> get_completion_signatures() {
        return {};
    }
};

void fn() {
    weft::await(needs_scheduler{});
}
