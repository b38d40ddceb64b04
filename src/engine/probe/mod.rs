//! Probes: how a check is made (`check`) and what its answers mean (`health`, pure).

pub mod check;
pub mod health;
