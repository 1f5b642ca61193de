//! The device agent `palisade-agent`.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::main()
}
