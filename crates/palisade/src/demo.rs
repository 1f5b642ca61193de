//! `palisade demo`: the main job, from an empty directory to a contained device, on real protocols and
//! against the real server. Devices here are simulated in what they measure and in nothing else: each
//! has its own key, enrols over EST, and speaks MQTT 5 over mutual TLS.

mod answered;
mod fleet;
mod operator;
mod picture;
mod report;
mod rogue;
mod server;
mod view;

use std::{
    io::{ErrorKind, IsTerminal},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Context, Failure},
    output::Output,
    serve::signals,
};
use fleet::Fleet;
use operator::Operator;
use picture::{Picture, Stage};
use report::{NEXT, Report};
use server::Server;

/// How long the fleet speaks in peace before a device turns bad.
const PEACE: Duration = Duration::from_secs(5);
/// How long a bad device is shown to people before its first bad act: containment is over in less than a
/// picture.
const SUSPENSE: Duration = Duration::from_millis(1500);
/// How long people see what came of it before the timeline is printed.
const AFTERMATH: Duration = Duration::from_secs(4);

/// Run the main job here and now: devices enrol, speak, one turns bad, and is contained
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  palisade demo                 # about fifteen seconds, leaves nothing behind
  palisade demo --hold          # keeps running afterwards, until Ctrl-C
  palisade demo --json | jq .   # the timeline for programs
  palisade demo --devices 500")]
pub(crate) struct DemoArgs {
    /// How many devices
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=2000))]
    devices: u16,
    /// Keep everything running until Ctrl-C, and say how to reach it
    #[arg(long)]
    hold: bool,
}

/// The account of whoever looks around while the demo is held.
const OWNER: &str = "demo";

/// What the scene leaves behind.
struct Told {
    report: Report,
    fleet: Fleet,
    operator: Operator,
}

impl DemoArgs {
    pub(crate) fn run(self, output: Output) -> Result<(), Failure> {
        // Declared first, to be removed last: when nothing runs any longer that could write into it, however this ends.
        let mut directory = None;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the demo cannot start")?;
        let end = CancellationToken::new();
        runtime.block_on(async { signals::watch_to_clean_up(&end) })?;
        let made = tempfile::Builder::new().prefix("palisade-demo-").tempdir();
        let directory = directory.insert(made.context("a temporary directory")?);
        let done = runtime.block_on(self.play(output, directory.path(), &end));
        runtime.shutdown_timeout(Duration::from_secs(5));
        std::fs::remove_dir_all(directory.path()).context(directory.path().display())?;
        done
    }

    async fn play(
        self,
        output: Output,
        directory: &Path,
        end: &CancellationToken,
    ) -> Result<(), Failure> {
        let interrupted = || Failure::new("interrupted");
        let picture = Arc::new(Picture::new(self.devices));
        let stop_view = CancellationToken::new();
        let is_live = !output.is_json() && std::io::stdout().is_terminal();
        let view = view::show(picture.clone(), stop_view.clone(), is_live);
        let scene = async {
            let server = Box::pin(end.run_until_cancelled(Server::start(directory))).await;
            let server = match server.unwrap_or_else(|| Err(interrupted())) {
                Ok(server) => server,
                Err(failure) => {
                    stop_view.cancel();
                    return Err(failure);
                }
            };
            let told = self.scene(&server, &picture, is_live);
            let told = end.run_until_cancelled(told).await;
            // The picture goes before anything else is printed, whatever came of it.
            stop_view.cancel();
            Ok((server, told.unwrap_or_else(|| Err(interrupted()))))
        };
        let (scene, ()) = tokio::join!(scene, view);
        let (server, told) = scene?;
        let told = match told {
            Ok(told) => self.tell(told, &server, output, end).await,
            Err(failure) => Err(failure),
        };
        server.stop().await?;
        told
    }

    /// Prints what came of it, and lets it run on where that is wanted.
    async fn tell(
        &self,
        told: Told,
        server: &Server,
        output: Output,
        end: &CancellationToken,
    ) -> Result<(), Failure> {
        let Told {
            report,
            fleet,
            operator,
        } = told;
        let mut text = report.to_text(output)?;
        match (self.hold, output.is_json()) {
            (true, _) => {
                let password = operator.make_owner(OWNER).await?;
                let how = server.how_to_reach_it(operator.token(), (OWNER, &password))?;
                text = format!("{text}\n{how}");
            }
            (false, true) => {}
            (false, false) => text = format!("{text}\n{NEXT}"),
        }
        let written = output.line(&text);
        if self.hold && written.is_ok() {
            end.cancelled().await;
        }
        fleet.stop().await;
        match written {
            // Whoever read has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => report.verdict(),
        }
    }

    async fn scene(
        &self,
        server: &Server,
        picture: &Arc<Picture>,
        is_live: bool,
    ) -> Result<Told, Failure> {
        let for_people = |time: Duration| if is_live { time } else { Duration::ZERO };
        let started = Instant::now();
        picture.enter(Stage::Preparing);
        let operator = Operator::set_up(server).await?;
        picture.enter(Stage::Enrolling);
        let mut fleet = Fleet::enrol(server, &operator, picture, self.devices).await?;
        picture.enter(Stage::Speaking);
        let watch = operator.watch(picture.clone());
        fleet.wait_connected(picture).await?;
        tokio::time::sleep(PEACE).await;
        picture.enter(Stage::Misbehaving);
        fleet.mark_bad_one(picture);
        tokio::time::sleep(for_people(SUSPENSE)).await;
        let mut report = rogue::turn_bad(&fleet, &operator, picture).await?;
        picture.enter(Stage::Contained);
        report.fleet = operator.summary(self.devices, started.elapsed()).await?;
        report.ledger = operator.verify_ledger().await?;
        tokio::time::sleep(for_people(AFTERMATH)).await;
        drop(watch);
        Ok(Told {
            report,
            fleet,
            operator,
        })
    }
}
