//! The runtime contract, on the fake and on a real Docker Engine.
