//! The workspace's scenarios and oracle tests: see `tests/` and `oracles/` beside this folder. Must not hold anything
//! itself: a library here only keeps the one test binary, which links the whole SDK, from being several.
