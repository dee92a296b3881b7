// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft/senders.hpp needs std::execution or NVIDIA's stdexec
// needs: no_senders
// before: GNU 2, Clang 2

#include <weft/senders.hpp>
