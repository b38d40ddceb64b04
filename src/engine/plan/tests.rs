//! Properties of the planner.
