use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use palisade_agent::{Agent, Qos};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    connection::{connected, message},
    house::{House, PATIENCE},
};

const BINARY: &str = env!("CARGO_BIN_EXE_palisade-agent");

/// A state directory and what is done with it.
struct Device {
    dir: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir }
    }

    fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("--state")
            .arg(self.state())
            .args(["--json", "--log", "warn"]);
        command.args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let output = timeout(PATIENCE, self.command(arguments).output()).await;
        output.expect("in time").expect("runs")
    }

    async fn enrolled(house: &House, id: &str) -> Self {
        let device = Self::new();
        let root = device.dir.path().join("root.pem");
        std::fs::write(&root, house.root_pem()).expect("written");
        let token = device.dir.path().join("token");
        std::fs::write(&token, house.token(1).await + "\n").expect("written");
        let (url, gateway) = (house.devices_url(), house.gateway().to_string());
        let (root, token) = (root.to_string_lossy(), token.to_string_lossy());
        let output = device
            .run(&[
                "enroll",
                "--server",
                &url,
                "--gateway",
                &gateway,
                "--root",
                &root,
                "--token-file",
                &token,
                "--id",
                id,
            ])
            .await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let config = "[backoff]\nfirst_ms = 20\nmax_ms = 200\n";
        std::fs::write(device.state().join("agent.toml"), config).expect("written");
        device
    }

    /// Publishes a text, under a limit of the shell's if one is given.
    async fn publish(&self, topic: &str, text: &str, more: &[&str]) -> Output {
        let arguments = [&["publish", topic], more].concat();
        feed(self.command(&arguments), text).await
    }

    async fn start(&self) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut child = self.command(&["run"]).spawn().expect("runs");
        let stdout = child.stdout.take().expect("piped");
        (child, BufReader::new(stdout).lines())
    }

    async fn status(&self) -> Value {
        json(&self.run(&["status"]).await)
    }
}

async fn feed(mut command: Command, text: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may have ended without reading.
    let _ = stdin.write_all(text.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("in time").expect("ends")
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("json")
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = timeout(PATIENCE, lines.next_line())
        .await
        .expect("in time")
        .expect("readable");
    serde_json::from_str(&line.expect("a line")).expect("json")
}

async fn event(lines: &mut Lines<BufReader<ChildStdout>>, name: &str) -> Value {
    loop {
        let event = line(lines).await;
        if event["event"] == name {
            return event;
        }
    }
}

async fn terminate(mut child: Child) {
    let pid = rustix::process::Pid::from_raw(child.id().expect("runs") as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    let status = timeout(PATIENCE, child.wait())
        .await
        .expect("in time")
        .expect("ends");
    assert_eq!(status.code(), Some(0));
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_device_is_enrolled_run_spoken_through_and_stopped_by_hand() {
    let house = House::open().await;
    let device = Device::enrolled(&house, "cam-1").await;
    assert_eq!(mode(&device.state().join("identity.pem")), 0o600);
    let status = device.status().await;
    assert_eq!(
        (&status["device"], &status["running"]),
        (&"cam-1".into(), &false.into())
    );

    // Before it runs: into the queue.
    let queued = json(&device.publish("devices/cam-1/t", "early", &[]).await);
    assert_eq!(queued["message"], "queued");
    assert_eq!(device.status().await["queue"]["messages"], 1);

    let (child, mut events) = device.start().await;
    event(&mut events, "connected").await;
    assert_eq!(mode(&device.state().join("agent.sock")), 0o600);
    let mut listener = device.command(&["subscribe", "devices/cam-1/#", "--count", "2"]);
    let mut listener = listener.spawn().expect("runs");
    let mut heard = BufReader::new(listener.stdout.take().expect("piped")).lines();
    loop {
        // Retained, so that it is heard however late the listener is.
        let taken = device
            .publish("devices/cam-1/kept", "a", &["--retain", "--wait"])
            .await;
        assert_eq!(json(&taken)["message"], "taken");
        if let Ok(first) = timeout(Duration::from_millis(500), line(&mut heard)).await {
            assert_eq!(
                (&first["topic"], &first["payload"]),
                (&"devices/cam-1/kept".into(), &"a".into())
            );
            break;
        }
    }
    let refused = device.publish("devices/other/t", "x", &["--wait"]).await;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let status = device.status().await;
    assert_eq!(status["connection"]["connected"], true);
    assert_eq!(status["connection"]["key_exchange"], "X25519MLKEM768");

    let second = device.run(&["run"]).await;
    assert_eq!(second.status.code(), Some(5), "{second:?}");
    terminate(child).await;
    assert!(!device.state().join("agent.sock").exists());
    assert_eq!(device.status().await["queue"]["messages"], 0);
}

#[tokio::test]
async fn what_the_agent_took_is_delivered_although_it_was_killed() {
    let mut house = House::open().await;
    let device = Device::enrolled(&house, "cam-1").await;
    let mut options = house.options();
    options.client_suffix = Some("watcher".to_owned());
    let identity = palisade_agent::StateDir::existing(&device.state()).identity();
    let (watcher, mut seen) = Agent::connect(identity.expect("kept"), options).expect("starts");
    watcher
        .subscribe("devices/cam-1/t", Qos::AtLeastOnce)
        .await
        .expect("granted");
    house.stop().await;
    for round in 0..3 {
        let (mut child, mut events) = device.start().await;
        event(&mut events, "disconnected").await;
        for number in 0..5 {
            let text = (5 * round + number).to_string();
            let taken = json(&device.publish("devices/cam-1/t", &text, &[]).await);
            assert_eq!(taken["message"], "taken");
        }
        child.kill().await.expect("killed");
    }
    house.start().await;
    connected(&watcher).await;
    let (child, _events) = device.start().await;
    for number in 0..15 {
        assert_eq!(message(&mut seen).await.payload, number.to_string());
    }
    terminate(child).await;
}

#[tokio::test]
async fn a_full_disk_refuses_the_message_and_spares_those_before_it() {
    let house = House::open().await;
    let device = Device::enrolled(&house, "cam-1").await;
    let text = "x".repeat(1500);
    for _ in 0..5 {
        json(&device.publish("devices/cam-1/t", &text, &[]).await);
    }
    // No file may grow beyond 8 KiB: as a full disk, the write is cut off in the middle.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, BINARY, "--json", "--state"])
        .arg(device.state());
    command.args(["publish", "devices/cam-1/t"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let full = feed(command, &text).await;
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(said.contains("cannot be written"), "{said}");
    let status = device.status().await;
    assert_eq!(
        (&status["queue"]["messages"], &status["queue"]["corrupted"]),
        (&5.into(), &0.into())
    );
    json(&device.publish("devices/cam-1/t", &text, &[]).await);
    assert_eq!(device.status().await["queue"]["messages"], 6);
}

#[tokio::test]
async fn failures_have_their_exit_codes_and_never_show_the_token() {
    let house = House::open().await;
    let device = Device::new();
    let root = device.dir.path().join("root.pem");
    std::fs::write(&root, house.root_pem()).expect("written");
    let (url, root) = (house.devices_url(), root.to_string_lossy().into_owned());
    let enroll = async |server: &str, root: &[&str], token: Option<&str>| {
        let mut command =
            device.command(&[&["enroll", "--server", server, "--id", "cam-1"], root].concat());
        command.env_remove("PALISADE_ENROLMENT_TOKEN");
        command.envs(token.map(|token| ("PALISADE_ENROLMENT_TOKEN", token)));
        let output = timeout(PATIENCE, command.output())
            .await
            .expect("in time")
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("pet_"), "{said}");
        output.status.code().expect("ends by itself")
    };
    let trusted = ["--root", root.as_str()];
    assert_eq!(enroll(&url, &trusted, Some("pet_wrong")).await, 3);
    assert_eq!(enroll(&url, &trusted, None).await, 2);
    assert_eq!(
        enroll(&url, &[], Some("pet_wrong")).await,
        2,
        "no trust on first use"
    );
    assert_eq!(
        enroll("http://localhost", &trusted, Some("pet_wrong")).await,
        2
    );
    assert_eq!(
        enroll("https://127.0.0.1:1", &trusted, Some("pet_wrong")).await,
        4
    );
    for arguments in [["run"].as_slice(), &["status"], &["publish", "t"]] {
        let output = device.run(arguments).await;
        assert_eq!(output.status.code(), Some(5), "{output:?}");
    }
    let token = house.token(1).await;
    assert_eq!(enroll(&url, &trusted, Some(&token)).await, 0);
    assert_eq!(
        enroll(&url, &trusted, Some(&token)).await,
        5,
        "it is enrolled already"
    );
    std::fs::write(device.state().join("agent.toml"), "keepalive = 3\n").expect("written");
    let unknown = device.run(&["run"]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let nowhere = device.run(&["subscribe", "t"]).await;
    assert_eq!(nowhere.status.code(), Some(4), "{nowhere:?}");
}
