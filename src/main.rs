//! Parse, run, and turn the outcome into an exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    p2p::commands::main()
}
