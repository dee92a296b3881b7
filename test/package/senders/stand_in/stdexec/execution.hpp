// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// Lies where stdexec lies, on machines that have none: the few senders of weft's own tests under its name.
#include "../../../../unit/small_senders.hpp"

namespace stdexec = small_senders;
