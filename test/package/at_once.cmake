# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

# Read where weft's project begins: its library is compiled as one, as some projects are. That takes a third of the time.
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 0)
