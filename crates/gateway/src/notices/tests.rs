use palisade_core::{
    DeviceId, SystemClock,
    port::{BoxFuture, JournalError},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::*;

/// A journal that tells what it was given and when, and takes its time.
struct Told {
    sender: mpsc::UnboundedSender<(Instant, Vec<Event>)>,
    takes: Duration,
}

impl Journal for Told {
    fn record(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), JournalError>> {
        let _ = self.sender.send((Instant::now(), events));
        Box::pin(async {
            tokio::time::sleep(self.takes).await;
            Ok(())
        })
    }
}

struct Running {
    notices: Arc<Notices>,
    written: mpsc::UnboundedReceiver<(Instant, Vec<Event>)>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

fn running(takes: Duration) -> Running {
    let (sender, written) = mpsc::unbounded_channel();
    let journal = Arc::new(Told { sender, takes });
    let notices = Arc::new(Notices::new(journal, Arc::new(SystemClock)));
    let cancel = CancellationToken::new();
    let (runs, token) = (notices.clone(), cancel.clone());
    let task = tokio::spawn(async move { runs.run(token).await });
    Running {
        notices,
        written,
        cancel,
        task,
    }
}

impl Running {
    fn deny(&self, topic: &str) {
        let device: Principal = DeviceId::parse("cam-1").expect("valid").into();
        let source = IpAddr::from([10, 0, 0, 1]);
        let reason = DenyReason::NoGrant;
        self.notices
            .denied(&device, source, Action::Publish, reason, topic);
    }

    async fn next(&mut self) -> (Instant, Vec<(String, u64)>) {
        let (at, events) = self.written.recv().await.expect("writes");
        (at, events.iter().map(denial).collect())
    }

    async fn stop(self) -> Vec<(String, u64)> {
        let Self {
            cancel,
            task,
            mut written,
            notices,
        } = self;
        cancel.cancel();
        task.await.expect("ends");
        drop(notices);
        let mut rest = Vec::new();
        while let Some((_, events)) = written.recv().await {
            rest.extend(events.iter().map(denial));
        }
        rest
    }
}

fn denial(event: &Event) -> (String, u64) {
    match &event.kind {
        EventKind::Denied {
            resource, count, ..
        } => (resource.clone(), *count),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_denial_is_written_within_milliseconds_and_its_repeats_a_second_later() {
    let mut running = running(Duration::ZERO);
    let start = Instant::now();
    running.deny("a");
    running.deny("b");
    let (at, events) = running.next().await;
    assert!(at - start <= Duration::from_millis(6), "{:?}", at - start);
    assert_eq!(events, [("a".to_owned(), 2)]);
    for topic in ["c", "d", "e"] {
        running.deny(topic);
    }
    let (again, events) = running.next().await;
    assert_eq!(events, [("c".to_owned(), 3)]);
    let apart = again - at;
    assert!(
        (990..=1010).contains(&apart.as_millis()),
        "a second passed: {apart:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_is_new_does_not_wait_for_the_repeats_of_another() {
    let mut running = running(Duration::ZERO);
    running.deny("a");
    let (_, _) = running.next().await;
    running.deny("a");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let start = Instant::now();
    let other: Principal = DeviceId::parse("cam-2").expect("valid").into();
    running.notices.denied(
        &other,
        IpAddr::from([10, 0, 0, 2]),
        Action::Publish,
        DenyReason::NoGrant,
        "new",
    );
    let (at, events) = running.next().await;
    assert_eq!(events, [("new".to_owned(), 1)]);
    assert!(at - start <= Duration::from_millis(6), "{:?}", at - start);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_equal_denials_is_two_events_in_its_first_second_and_one_in_each_after() {
    let running = running(Duration::ZERO);
    for _ in 0..3_000 {
        running.deny("a");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let events = running.stop().await;
    assert!((3..=5).contains(&events.len()), "{events:?}");
    assert_eq!(events.iter().map(|(_, count)| count).sum::<u64>(), 3_000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_disk_is_not_written_to_without_rest() {
    let running = running(Duration::from_millis(20));
    let source = IpAddr::from([10, 0, 0, 1]);
    for number in 0..1_000 {
        let device: Principal = DeviceId::parse(&format!("cam-{number}"))
            .expect("valid")
            .into();
        running.notices.exceeded(&device, "publish_rate");
        running
            .notices
            .refused(source, Some(&device), "no".to_owned());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let Running {
        cancel,
        task,
        mut written,
        notices,
    } = running;
    cancel.cancel();
    task.await.expect("ends");
    drop(notices);
    let (mut writes, mut events) = (0, 0);
    while let Some((_, more)) = written.recv().await {
        writes += 1;
        events += more.len();
    }
    assert_eq!(events, 2_000);
    // A write every 80 milliseconds, for a second.
    assert!(writes <= 16, "{writes} writes");
}
