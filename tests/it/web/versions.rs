//! Pages of versions.
