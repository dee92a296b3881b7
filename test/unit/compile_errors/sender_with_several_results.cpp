// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: this sender completes with values of several kinds: make one of them
// before: GNU 6, Clang 2

#include "../small_senders.hpp"
#define WEFT_EXECUTION_NAMESPACE small_senders
#include <weft/senders.hpp>

struct one_or_another {
    using sender_concept = small_senders::sender_tag;
    using completion_signatures =
        small_senders::completion_signatures<small_senders::set_value_t(int), small_senders::set_value_t(char)>;
    template <class Receiver>
    struct operation {
        Receiver receiver;
        void start() & noexcept {}
    };
    template <class Receiver>
    operation<Receiver> connect(Receiver r) const {
        return {r};
    }
};

void fn() {
    weft::await(one_or_another{});
}
