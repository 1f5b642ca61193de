//! Clients that we did not write: curl with openssl, and strongSwan's pki. Where one is not installed its
//! test says so and passes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use palisade_core::Lifecycle;

use crate::house::House;

/// Runs a program in a directory; `None`, and a word about it, where it is not installed.
async fn run(directory: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new(program);
    command.current_dir(directory).args(arguments);
    let done = tokio::task::spawn_blocking(move || command.output()).await;
    match done.expect("does not panic") {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("SKIPPED: {program} cannot be run: {error}");
            None
        }
    }
}

fn must(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

fn work_place(house: &House) -> PathBuf {
    let place = house.directory.path().join("client");
    std::fs::create_dir(&place).expect("a directory");
    std::fs::write(place.join("root.pem"), house.identity.root_pem()).expect("writes");
    place
}

#[tokio::test]
async fn curl_and_openssl_enrol_and_renew() {
    let house = House::open().await;
    let place = work_place(&house);
    let url = format!(
        "https://localhost:{}/.well-known/est",
        house.devices_address().port()
    );
    let secret = house.token("cam", 1).await;
    let request = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key \
                   -subj /CN=cam-1 -outform DER -out $1.csr 2>/dev/null && openssl base64 -in $1.csr -out $1.b64";
    let unpack =
        "openssl base64 -d -A -in $1.p7b64 | openssl pkcs7 -inform DER -print_certs -out $1.pem";
    let make = async |script: &str, name: &str| {
        let done = run(&place, "sh", &["-ec", script, "sh", name]).await;
        must(&done.expect("a shell"));
    };
    let Some(found) = run(&place, "curl", &["--version"]).await else {
        return;
    };
    must(&found);
    let common = ["-sS", "--fail-with-body", "--cacert", "root.pem"];
    make(request, "first").await;
    let user = format!("device:{secret}");
    let enrol = format!("{url}/simpleenroll");
    let mut arguments = common.to_vec();
    arguments.extend(["-u", &user, "-H", "Content-Type: application/pkcs10"]);
    arguments.extend(["--data-binary", "@first.b64", "-o", "first.p7b64", &enrol]);
    must(&run(&place, "curl", &arguments).await.expect("curl"));
    make(unpack, "first").await;
    assert_eq!(house.lifecycle("cam-1").await, Some(Lifecycle::Active));
    // The token is used up: curl fails with what the server says.
    let again = run(&place, "curl", &arguments).await.expect("curl");
    assert!(!again.status.success());
    make(request, "second").await;
    let renew = format!("{url}/simplereenroll");
    let mut arguments = common.to_vec();
    arguments.extend(["--cert", "first.pem", "--key", "first.key"]);
    arguments.extend(["--data-binary", "@second.b64", "-o", "second.p7b64", &renew]);
    must(&run(&place, "curl", &arguments).await.expect("curl"));
    make(unpack, "second").await;
    let cacerts = format!("{url}/cacerts");
    let mut arguments = common.to_vec();
    arguments.extend(["-o", "ca.p7b64", &cacerts]);
    must(&run(&place, "curl", &arguments).await.expect("curl"));
    make(unpack, "ca").await;
    let verify = [
        "verify",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "ca.pem",
        "first.pem",
        "second.pem",
    ];
    let verified = must(&run(&place, "openssl", &verify).await.expect("openssl"));
    assert_eq!(verified, "first.pem: OK\nsecond.pem: OK\n");
    house.close().await;
}

#[tokio::test]
async fn strongswan_fetches_the_ca_enrols_and_renews() {
    let house = House::open().await;
    let place = work_place(&house);
    let url = format!("https://localhost:{}", house.devices_address().port());
    let Some(found) = run(&place, "pki", &["--help"]).await else {
        return;
    };
    drop(found);
    let secret = house.token("cam", 1).await;
    let make = async |script: &str| {
        let done = run(&place, "sh", &["-ec", script]).await;
        must(&done.expect("a shell"));
    };
    let fetch = [
        "--estca",
        "--url",
        &url,
        "--cacert",
        "root.pem",
        "--caout",
        "ca.pem",
        "--outform",
        "pem",
        "--force",
    ];
    must(&run(&place, "pki", &fetch).await.expect("pki"));
    let request = "pki --gen --type ecdsa --size 256 --outform pem > $k.key && \
                   pki --req --in $k.key --type ecdsa --dn CN=cam-2 --outform der > $k.csr";
    make(&format!("k=first; {request}")).await;
    let user = format!("device:{secret}");
    let script = format!(
        "pki --est --url {url} --in first.csr --cacert root.pem --userpass \"$USERPASS\" --outform pem > first.pem"
    );
    let script = format!("USERPASS='{user}'; {script}");
    make(&script).await;
    assert_eq!(house.lifecycle("cam-2").await, Some(Lifecycle::Active));
    make(&format!("k=second; {request}")).await;
    make(&format!(
        "pki --est --url {url} --in second.csr --cacert root.pem --cert first.pem --key first.key \
         --outform pem > second.pem"
    ))
    .await;
    let text = must(
        &run(
            &place,
            "openssl",
            &["x509", "-in", "second.pem", "-noout", "-subject"],
        )
        .await
        .expect("openssl"),
    );
    assert_eq!(text, "subject=CN = cam-2\n");
    house.close().await;
}
