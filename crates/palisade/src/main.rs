//! The binary `palisade`: the command line, the configuration, and the wiring that makes one server of
//! all capabilities. It holds no capability logic: what a command does, a capability does, or the server
//! does when it is asked by REST. Begin with `cli.rs` for the commands and `serve.rs` for the server.

mod act;
mod backup;
mod cli;
mod client;
mod commands;
mod config;
mod data;
mod database;
mod demo;
mod doctor;
mod drill;
mod failure;
mod init;
mod keys;
mod migrate;
mod output;
mod ready;
mod recover;
mod serve;
mod top;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The one cryptographic provider of the house; a second call would change nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// The exit code of a command that ended as it should.
fn done<T>(_: T) -> ExitCode {
    ExitCode::SUCCESS
}
