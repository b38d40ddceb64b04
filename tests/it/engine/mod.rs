//! Use-cases, planner and reconciler on the fake runtime.
