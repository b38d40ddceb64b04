//! The binary `portolan`.

use std::process::ExitCode;

// The registry allocates many buffers of all sizes from many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portolan::cli::run()
}
