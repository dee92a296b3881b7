// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/standalone_asio.hpp>

namespace net = asio;
namespace errors = std;

#include "asio_cases.hpp"
