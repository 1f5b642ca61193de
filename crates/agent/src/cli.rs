//! The command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use palisade_agent::{StateDir, Status};
use tracing::level_filters::LevelFilter;

mod config;
mod door;
mod enrol;
mod failure;
mod publish;
mod run;
mod status;
mod subscribe;

use failure::Failure;

const AFTER_HELP: &str = "\
Examples:
  palisade-agent enroll --server https://palisade.example:8444 --root root.pem \\
      --token-file token.txt --id sensor-1
  palisade-agent run
  echo 21.5 | palisade-agent publish devices/sensor-1/telemetry/temperature
  palisade-agent subscribe 'devices/sensor-1/commands/#'
  palisade-agent status --json

Exit codes:
  0  done
  1  something else failed
  2  the command line is wrong
  3  the server refused
  4  the server cannot be reached, or asks to wait
  5  the state directory holds no identity, is damaged or in use
";

/// The agent of a device: gets it an identity, and speaks for it.
#[derive(Debug, Parser)]
#[command(name = "palisade-agent", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    /// Where key, certificates and queue are kept.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/palisade-agent"
    )]
    state: PathBuf,
    /// Answers and errors as JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    /// How much is written to standard error.
    #[arg(long, global = true, value_name = "LEVEL", value_enum, default_value_t = Log::Info)]
    log: Log,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gets the device its first certificate with an enrolment token.
    Enroll(enrol::EnrollArguments),
    /// Connects, and stays connected until SIGTERM or SIGINT.
    Run(run::RunArguments),
    /// Publishes what stands on standard input, through the running agent, or into its queue if none runs.
    Publish(publish::PublishArguments),
    /// Prints messages that arrive, as JSON lines, until interrupted; the agent must run.
    Subscribe(subscribe::SubscribeArguments),
    /// Says how the agent is doing.
    Status,
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What commands have in common.
struct Context {
    state: StateDir,
    json: bool,
}

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log);
    let context = Context {
        state: StateDir::existing(&arguments.state),
        json: arguments.json,
    };
    let done = runtime().and_then(|runtime| {
        let done = runtime.block_on(async {
            match arguments.command {
                Command::Enroll(arguments) => enrol::run(&context, arguments).await,
                Command::Run(arguments) => run::run(&context, arguments).await,
                Command::Publish(arguments) => publish::run(&context, arguments).await,
                Command::Subscribe(arguments) => subscribe::run(&context, arguments).await,
                Command::Status => status::run(&context).await,
                Command::Completions { shell } => {
                    complete(shell);
                    Ok(())
                }
            }
        });
        // A read of standard input, or a name that is being looked up, must not hold up the end.
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(context.json),
    }
}

fn complete(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut Arguments::command(),
        "palisade-agent",
        &mut script,
    );
    print(String::from_utf8_lossy(&script).trim_end());
}

/// One thread and a few helpers with small stacks: the agent is to be small.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_stack_size(256 * 1024)
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build();
    runtime.map_err(|error| Failure::other(format!("no runtime: {error}")))
}

fn start_log(log: Log) {
    let level = match log {
        Log::Off => LevelFilter::OFF,
        Log::Error => LevelFilter::ERROR,
        Log::Warn => LevelFilter::WARN,
        Log::Info => LevelFilter::INFO,
        Log::Debug => LevelFilter::DEBUG,
        Log::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

/// Prints a line on standard output; nobody who listens is no failure.
fn print(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// How a connection is doing, in words.
fn in_words(status: &Status) -> String {
    match (status.connected, &status.last_cause) {
        (true, _) => format!("connected since {}", status.since),
        (false, Some(cause)) => format!("not connected since {}: {cause}", status.since),
        (false, None) => "connecting".to_owned(),
    }
}
