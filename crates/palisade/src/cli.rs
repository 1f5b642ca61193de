//! The commands.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::json;

use crate::{
    backup::BackupCommand,
    client::{Noun, Verb},
    commands::{
        AccessCommand, AccountCommand, ActionCommand, ApiTokenCommand, ApprovalCommand,
        AuditCommand, BaselineCommand, CaCommand, CaseCommand, DeviceCommand, ElevationCommand,
        EventsCommand, ExportCommand, FindingCommand, GrantCommand, LedgerNoun, LoginCommand,
        LogoutCommand, MessageCommand, PasswordCommand, PlaybookNoun, PolicyCommand,
        ProductCommand, ReaderCommand, ResponseCommand, RoleCommand, RulesCommand, SegmentCommand,
        ServiceCommand, SessionCommand, StatusCommand, SuppressionCommand, TeamCommand,
        TokenCommand, VaultCommand, WhoamiCommand,
    },
    config::ConfigCommand,
    demo::DemoArgs,
    doctor::DoctorCommand,
    drill::DrillCommand,
    failure::Failure,
    init::InitCommand,
    keys::KeysCommand,
    migrate::MigrateCommand,
    output::Output,
    ready::ReadyCommand,
    recover::RecoverCommand,
    serve::ServeCommand,
    top::TopCommand,
};

const EXAMPLES: &str = "Examples:
  palisade serve --data /var/lib/palisade
  palisade login --server https://localhost:8443 --ca /var/lib/palisade/root.pem
  palisade product put camera --description 'Door camera'
  palisade token create --product camera --uses 50
  palisade device list --segment berlin
  palisade device quarantine cam-17 --reason 'talks to strangers'

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not allowed, 4 not found, 5 server not reachable,
6 not as it should be (an audit, the ledger)";

/// Security for fleets of devices: identity, policy, containment
#[derive(Debug, Parser)]
#[command(name = "palisade", version, after_help = EXAMPLES, propagate_version = false)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServeCommand),
    Demo(DemoArgs),
    /// Make a data directory with configuration, keys and CA, without starting the server
    Init(InitCommand),
    /// Ask the server on this machine whether it is ready, for probes and scripts
    Ready(ReadyCommand),
    /// Look for what is wrong with an installation, and say how to mend it
    Doctor(DoctorCommand),
    /// Make a set-up token on the server's machine, for who lost all API tokens
    Recover(RecoverCommand),
    /// Move an installation from SQLite to PostgreSQL
    Migrate(MigrateCommand),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Backups: make one while the server runs, look whether it is whole, bring it back
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Work on the keys of a server that is stopped
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Log in to a server with a set-up token or an API token
    Login(LoginCommand),
    /// Forget the server that was logged in to
    Logout(LogoutCommand),
    /// Say who you are to the server, and what you may do
    Whoami(Verb<WhoamiCommand>),
    /// Show how the server is doing
    Status(Verb<StatusCommand>),
    /// Watch the fleet in the terminal: posture, rates, cases, what happens
    Top(Verb<TopCommand>),
    /// Accounts of people: roles, passwords, log-in sessions
    Account(Noun<AccountCommand>),
    /// Roles: what accounts may do
    Role(Noun<RoleCommand>),
    /// Teams: what each of their members is
    Team(Noun<TeamCommand>),
    /// Acts that wait for a second person: look at them, approve, refuse
    Approval(Noun<ApprovalCommand>),
    /// Roles for a time, on request: ask, approve, refuse, end
    Elevation(Noun<ElevationCommand>),
    /// Access: who did, tried and read what, and reviews of who may what
    Access(Noun<AccessCommand>),
    /// Passwords: whether one may be used
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Devices: inventory, posture, containment
    Device(Noun<DeviceCommand>),
    /// Products: the types that devices are of
    Product(Noun<ProductCommand>),
    /// Segments: the parts of the fleet
    Segment(Noun<SegmentCommand>),
    /// Enrolment tokens, with which devices get their first certificate
    Token(Noun<TokenCommand>),
    /// API tokens, with which people and programs use the REST API
    ApiToken(Noun<ApiTokenCommand>),
    /// Services: applications that work with devices
    Service(Noun<ServiceCommand>),
    /// Grants: which topics are whose
    Grant(Noun<GrantCommand>),
    /// Policies: when a grant counts
    Policy(Noun<PolicyCommand>),
    /// What devices sent and is kept, sealed
    Vault(Noun<VaultCommand>),
    /// Readers: keys for messages that devices seal, and that the server cannot read
    #[command(subcommand)]
    Reader(ReaderCommand),
    /// The audit log
    Ledger(LedgerNoun),
    /// The certification authority
    Ca(Noun<CaCommand>),
    /// What happened, and what happens
    Events(Verb<EventsCommand>),
    /// Sigma rules: what detection looks for
    Rules(RulesCommand),
    /// Exports: where events go from here
    Export(ExportCommand),
    /// Findings: what detection found, and what people made of it
    Finding(Noun<FindingCommand>),
    /// Audits: whether the fleet and the server are set up as they should be
    Audit(Noun<AuditCommand>),
    /// Baselines: what is usual for each device, and what alarms
    Baseline(Noun<BaselineCommand>),
    /// Suppressions: what is known and not to be reported
    Suppression(Noun<SuppressionCommand>),
    /// Cases: what findings came to, and what was done about it
    Case(Noun<CaseCommand>),
    /// Actions: what is done about cases, and what waits for a person
    Action(Noun<ActionCommand>),
    /// Playbooks: what is done about which findings
    Playbook(PlaybookNoun),
    /// Response as a whole: how it is doing, its guard rails, and the switch that stops it
    Response(Noun<ResponseCommand>),
    Drill(DrillCommand),
    /// Messages to devices
    Message(Noun<MessageCommand>),
    /// MQTT sessions
    Session(Noun<SessionCommand>),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  palisade completions bash > /etc/bash_completion.d/palisade
  palisade completions zsh > ~/.zfunc/_palisade")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    #[command(after_help = "Examples:\n  palisade version --json")]
    Version,
}

impl Cli {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let output = Output::new(self.json);
        match self.command {
            Command::Serve(command) => command.run().map(crate::done),
            Command::Demo(command) => command.run(output).map(crate::done),
            Command::Init(command) => command.run(&output).map(crate::done),
            Command::Recover(command) => command.run(&output).map(crate::done),
            Command::Ready(command) => command.run(&output).map(crate::done),
            Command::Migrate(command) => command.run(&output).map(crate::done),
            Command::Doctor(command) => command.run(&output),
            Command::Config(command) => command.run(&output).map(crate::done),
            Command::Backup(command) => command.run(&output).map(crate::done),
            Command::Keys(command) => command.run(&output).map(crate::done),
            Command::Login(command) => command.run(&output).map(crate::done),
            Command::Logout(command) => command.run(&output).map(crate::done),
            Command::Whoami(verb) => verb.run(output).map(crate::done),
            Command::Status(verb) => verb.run(output).map(crate::done),
            Command::Top(verb) => verb.run(output).map(crate::done),
            Command::Account(noun) => noun.run(output).map(crate::done),
            Command::Role(noun) => noun.run(output).map(crate::done),
            Command::Team(noun) => noun.run(output).map(crate::done),
            Command::Approval(noun) => noun.run(output).map(crate::done),
            Command::Elevation(noun) => noun.run(output).map(crate::done),
            Command::Access(noun) => noun.run(output).map(crate::done),
            Command::Password(command) => command.run(&output),
            Command::Device(noun) => noun.run(output).map(crate::done),
            Command::Product(noun) => noun.run(output).map(crate::done),
            Command::Segment(noun) => noun.run(output).map(crate::done),
            Command::Token(noun) => noun.run(output).map(crate::done),
            Command::ApiToken(noun) => noun.run(output).map(crate::done),
            Command::Service(noun) => noun.run(output).map(crate::done),
            Command::Grant(noun) => noun.run(output).map(crate::done),
            Command::Policy(noun) => noun.run(output).map(crate::done),
            Command::Vault(noun) => noun.run(output).map(crate::done),
            Command::Reader(command) => command.run(&output).map(crate::done),
            Command::Ledger(noun) => noun.run(output).map(crate::done),
            Command::Ca(noun) => noun.run(output).map(crate::done),
            Command::Events(verb) => verb.run(output).map(crate::done),
            Command::Rules(command) => command.run(output).map(crate::done),
            Command::Export(command) => command.run(output).map(crate::done),
            Command::Finding(noun) => noun.run(output).map(crate::done),
            Command::Audit(noun) => noun.run(output).map(crate::done),
            Command::Baseline(noun) => noun.run(output).map(crate::done),
            Command::Suppression(noun) => noun.run(output).map(crate::done),
            Command::Case(noun) => noun.run(output).map(crate::done),
            Command::Action(noun) => noun.run(output).map(crate::done),
            Command::Playbook(noun) => noun.run(output).map(crate::done),
            Command::Response(noun) => noun.run(output).map(crate::done),
            Command::Drill(command) => command.run(output),
            Command::Message(noun) => noun.run(output).map(crate::done),
            Command::Session(noun) => noun.run(output).map(crate::done),
            Command::Completions { shell } => completions(shell, &output).map(crate::done),
            Command::Version => version(&output).map(crate::done),
        }
    }
}

fn completions(shell: Shell, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "palisade", &mut script);
    output.text(String::from_utf8_lossy(&script).trim_end())
}

fn version(output: &Output) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    output.done(
        &json!({ "name": "palisade", "version": version }),
        &format!("palisade {version}"),
    )
}

#[cfg(test)]
mod tests;
