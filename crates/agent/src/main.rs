//! The command line of the device agent.

fn main() {}
