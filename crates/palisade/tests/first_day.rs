//! The first day with the real binary: it is set up, served, logged in to, used, and stopped.

#![expect(clippy::expect_used, reason = "a test ends where its set-up fails")]

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory, a home, free ports; and the server while it runs.
struct House {
    directory: tempfile::TempDir,
    ports: [u16; 4],
    notify: UnixDatagram,
    server: Option<Child>,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // All are held at once, so that no two are the same.
        let held: [TcpListener; 4] =
            std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("binds"));
        let ports = held
            .each_ref()
            .map(|listener| listener.local_addr().expect("an address").port());
        let notify = UnixDatagram::bind(directory.path().join("notify")).expect("binds");
        notify.set_read_timeout(Some(PATIENCE)).expect("sets");
        Self {
            directory,
            ports,
            notify,
            server: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_palisade"));
        let [mqtt, devices, people, operators] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PALISADE_DATA", self.path("data"))
            .env("PALISADE_GATEWAY__LISTEN", mqtt)
            .env("PALISADE_DEVICES__LISTEN", devices)
            .env("PALISADE_PEOPLE__LISTEN", people)
            .env("PALISADE_OPERATORS__LISTEN", operators)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("runs")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let done = self.run(&[arguments, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&done.stdout).expect("JSON")
    }

    fn exit_code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().expect("an exit code")
    }

    fn hear(&self) -> String {
        let mut bytes = [0; 64];
        let length = self.notify.recv(&mut bytes).expect("a word in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Starts the server and returns the set-up token that it prints.
    fn start(&mut self) -> String {
        let mut server = self
            .command(&["serve"])
            .env("NOTIFY_SOCKET", self.path("notify"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let stdout = server.stdout.take().expect("piped");
        self.server = Some(server);
        assert_eq!(self.hear(), "READY=1");
        BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .map(|line| line.trim().to_owned())
            .find(|line| line.starts_with("pset_"))
            .expect("a set-up token")
    }

    /// Ends the server as an operator would.
    fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        let pid = Pid::from_child(&server);
        kill_process(pid, Signal::TERM).expect("signals");
        assert_eq!(self.hear(), "STOPPING=1");
        assert!(server.wait().expect("ends").success());
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

#[test]
fn a_house_is_made_served_used_and_stopped() {
    let mut house = House::new();
    let made = house.json(&["init"]);
    assert_eq!(made["trust_domain"], "palisade.internal");
    assert!(house.path("data/palisade.toml").exists());
    assert_eq!(house.exit_code(&["doctor"]), 0);
    assert_eq!(
        house.exit_code(&["device", "list"]),
        3,
        "nobody is logged in"
    );

    let token = house.start();
    let server = format!("https://localhost:{}", house.ports[2]);
    let root = house.path("data/root.pem");
    let login = [
        "login",
        "--server",
        &server,
        "--ca",
        root.to_str().expect("text"),
    ];
    let done = house
        .command(&login)
        .env("PALISADE_SETUP_TOKEN", &token)
        .output()
        .expect("runs");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    let again = house
        .command(&login)
        .env("PALISADE_SETUP_TOKEN", &token)
        .output()
        .expect("runs");
    assert!(!again.status.success(), "a set-up token works once");

    assert_eq!(house.json(&["whoami"])["name"], "admin");
    assert_eq!(house.json(&["product", "put", "camera"])["id"], "camera");
    let made = house.json(&["token", "create", "--product", "camera", "--uses", "5"]);
    assert!(made["secret"].as_str().expect("text").starts_with("pet_"));
    house.json(&[
        "device",
        "add",
        "cam-1",
        "--product",
        "camera",
        "--label",
        "site=berlin",
    ]);
    let listed = house.json(&["device", "list", "--label", "site=berlin"]);
    assert_eq!(listed["items"][0]["id"], "cam-1");
    let contained = house.json(&["device", "quarantine", "cam-1", "--reason", "a test"]);
    assert_eq!(contained["posture"]["lifecycle"], "quarantined");
    assert_eq!(
        house.json(&["finding", "list"])["items"],
        serde_json::json!([])
    );
    let about = [
        "--subject",
        "device/cam-1",
        "--for",
        "2h",
        "--reason",
        "a test",
    ];
    let made = house.json(&[&["suppression", "add"], &about[..]].concat());
    assert_eq!(made["detector"], "*");
    let id = made["id"].as_str().expect("text");
    house.json(&["suppression", "remove", id]);
    assert_eq!(house.exit_code(&["suppression", "remove", id]), 4);
    assert_eq!(house.json(&["ledger", "verify"])["fault"], Value::Null);

    assert_eq!(house.exit_code(&["device", "show", "nobody"]), 4);
    assert_eq!(house.exit_code(&["device", "show"]), 2);
    assert_eq!(house.exit_code(&["keys", "rotate"]), 1, "the server runs");
    let findings = house.json(&["doctor"]);
    assert_eq!(findings["worst"], "ok", "{findings}");

    house.stop();
    assert_eq!(house.exit_code(&["device", "list"]), 5, "nobody answers");
    assert_eq!(house.exit_code(&["keys", "rotate"]), 0);
    assert_eq!(house.exit_code(&["doctor"]), 0);
}

#[test]
fn a_configuration_that_is_wrong_starts_nothing() {
    let house = House::new();
    let done = house
        .command(&["serve"])
        .env("PALISADE_GATEWAY__LISEN", "127.0.0.1:1")
        .output()
        .expect("runs");
    assert_eq!(done.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(errors.contains("did you mean \"listen\"?"), "{errors}");
    assert!(!house.path("data").exists());
}
