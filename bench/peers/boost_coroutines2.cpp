// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <harness/peer.hpp>
#include <peers/boost_stacks.hpp>

#include <boost/coroutine2/coroutine.hpp>

namespace {

struct coroutines2 : bench::boost_stacks {
    static constexpr const char* name = "boost::coroutines2";

    template <class Body, class Stacks>
    class coroutine {
        using type = boost::coroutines2::coroutine<void>;

    public:
        explicit coroutine(Stacks stacks)
            : resume_{stacks, [](typename type::pull_type& suspend) {
                          self s{suspend};
                          Body::run(s);
                      }} {}
        [[gnu::always_inline]] void resume() { resume_(); }

    private:
        struct self {
            typename type::pull_type& pull;
            [[gnu::always_inline]] void suspend() { pull(); }
        };

        typename type::push_type resume_;
    };

    static auto numbers() {
        using type = boost::coroutines2::coroutine<int>;
        struct range {
            type::pull_type pull{[](type::push_type& out) {
                for (int n = 0;; n = (n + 1) & 0xffff) out(n);
            }};
            auto begin() { return boost::coroutines2::detail::begin(pull); }
        };
        return range{};
    }
};

const bool registered = bench::register_peer<coroutines2>();

} // namespace
