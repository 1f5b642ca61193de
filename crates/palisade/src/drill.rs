//! `palisade drill`: attacks by simulated devices against a running server, and what came of them. The
//! attacker is real in all but intent: it enrols over EST, speaks MQTT over mutual TLS, and sees its own
//! containment from outside. What detected it is read from the server.

mod attack;
mod ground;
mod scenario;
mod watch;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    client::{ConnectionArgs, Session, path},
    commands::PageArgs,
    config::Span,
    failure::Failure,
    output::{Column, Output, column},
};
use ground::Ground;
use scenario::Scenario;

const HISTORY: [Column; 7] = [
    column("WHEN", "/recorded_at"),
    column("SCENARIO", "/report/scenario"),
    column("PASSED", "/report/passed"),
    column("FOUND AFTER", "/report/detected_after_ms"),
    column("ENDED AFTER", "/report/contained_after_ms"),
    column("FOUND BY", "/report/detected_by/0"),
    column("BY", "/recorded_by"),
];
const OUTCOME: [Column; 6] = [
    column("SCENARIO", "/scenario"),
    column("PASSED", "/passed"),
    column("FOUND AFTER ms", "/detected_after_ms"),
    column("FOUND BY", "/detected_by"),
    column("ENDED AFTER ms", "/contained_after_ms"),
    column("ENDED BY", "/contained_by"),
];

/// Drills: attack your own server with simulated devices, and see what it does about it
#[derive(Debug, Args)]
pub(crate) struct DrillCommand {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(subcommand)]
    verb: DrillVerb,
}

#[derive(Debug, Subcommand)]
enum DrillVerb {
    /// List the scenarios
    #[command(after_help = "Examples:\n  palisade drill list")]
    List,
    /// Run scenarios against the server, and record what came of them
    #[command(after_help = "Examples:
  palisade drill run topic-scan
  palisade drill run --all --json
  palisade drill run --all || mail -s 'the drill failed' soc@example.com < /dev/null   # from cron

The attackers are devices of the product `drill` in the segment `drill`, labelled `drill=<scenario>`,
and are retired afterwards. Exit code 1 where an attack was not found, or not ended.")]
    Run(RunArgs),
    /// Show when drills run by themselves (`[drills]` in the configuration), and what came of that
    #[command(after_help = "Examples:\n  palisade drill schedule")]
    Schedule,
    /// Show what came of earlier drills
    #[command(after_help = "Examples:\n  palisade drill history --scenario topic-scan")]
    History {
        /// Only this scenario
        #[arg(long)]
        scenario: Option<Scenario>,
        #[command(flatten)]
        page: PageArgs,
    },
}

/// Whether a scenario is called so.
pub(crate) fn is_scenario(name: &str) -> bool {
    Scenario::ALL.iter().any(|scenario| scenario.name() == name)
}

/// What to rehearse.
#[derive(Debug, Args)]
struct RunArgs {
    /// Which scenarios
    #[arg(required_unless_present = "all", value_name = "SCENARIO")]
    scenarios: Vec<Scenario>,
    /// All of them
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// The devices' HTTPS door; port 8444 of the server unless said otherwise
    #[arg(long, value_name = "URL")]
    devices: Option<String>,
    /// The MQTT door; port 8883 of the server unless said otherwise
    #[arg(long, value_name = "HOST:PORT")]
    mqtt: Option<String>,
    /// The local address of the thief who uses a stolen certificate
    #[arg(long, value_name = "IP", default_value = "127.0.0.2")]
    second_address: std::net::IpAddr,
    /// How long to wait until an attack is found and ended
    #[arg(long, value_name = "TIME", default_value = "30s")]
    patience: Span,
}

impl DrillCommand {
    pub(crate) fn run(self, output: Output) -> Result<ExitCode, Failure> {
        match self.verb {
            DrillVerb::List => {
                let items: Vec<Value> = Scenario::ALL.map(Scenario::to_json).to_vec();
                let columns = [column("SCENARIO", "/name"), column("WHAT", "/summary")];
                output.list(&json!({ "items": items }), &columns)?;
                Ok(ExitCode::SUCCESS)
            }
            DrillVerb::Run(args) => {
                let session = Session::open(&self.connection, output)?;
                args.run(&session)
            }
            DrillVerb::Schedule => {
                let session = Session::open(&self.connection, output)?;
                let schedule = session.get(path(&["drill-schedule"])).send()?;
                session.output.record(&schedule, &[])?;
                Ok(ExitCode::SUCCESS)
            }
            DrillVerb::History { scenario, page } => {
                let session = Session::open(&self.connection, output)?;
                let name = scenario.map(Scenario::name);
                let drills = || session.get(path(&["drills"])).query("scenario", name);
                let answer = page.read(drills)?;
                session.output.list(&answer, &HISTORY)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl RunArgs {
    fn run(self, session: &Session) -> Result<ExitCode, Failure> {
        let scenarios = match self.all {
            true => Scenario::ALL.to_vec(),
            false => self.scenarios.clone(),
        };
        let runtime = crate::serve::runtime()?;
        let reports = runtime.block_on(async {
            let ground = Ground::prepare(session, &self)?;
            let mut reports = Vec::new();
            for scenario in scenarios {
                if !session.output.is_json() {
                    eprintln!("{}: {}", scenario.name(), scenario.summary());
                }
                reports.push(watch::rehearse(&ground, scenario).await?);
            }
            Ok::<_, Failure>(reports)
        });
        runtime.shutdown_timeout(Duration::from_secs(5));
        let reports = reports?;
        for report in &reports {
            session.post(path(&["drills"])).json(report).send()?;
        }
        let all_passed = reports.iter().all(|report| report["passed"] == true);
        let answer = json!({ "items": reports, "passed": all_passed });
        session.output.list(&answer, &OUTCOME)?;
        Ok(match all_passed {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
