//! A syslog receiver over TLS that holds senders to RFC 5425 and RFC 5424.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::broadcast,
};
use tokio_rustls::TlsAcceptor;

use crate::{collector::Pki, house::number};

/// A receiver that runs.
pub struct Receiver {
    port: u16,
    directory: tempfile::TempDir,
    received: Arc<Mutex<Vec<u64>>>,
    breaks: broadcast::Sender<()>,
    is_deaf: Arc<AtomicBool>,
}

impl Receiver {
    pub async fn start(asks_for_certificate: bool) -> Self {
        let pki = Pki::new();
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("writes");
        };
        let (certificate, key) = pki.client();
        write("ca.pem", &pki.ca_pem);
        write("own.pem", &certificate);
        write("own.key", &key);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match asks_for_certificate {
            false => builder.with_no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                let ca = rustls_pem(&directory.path().join("ca.pem"));
                roots.add(ca).expect("a root");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let config = builder
            .with_single_cert(pki.chain, pki.key)
            .expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let breaks = broadcast::channel(1).0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let is_deaf = Arc::new(AtomicBool::new(false));
        let accepting = Accepting {
            acceptor,
            received: received.clone(),
            breaks: breaks.clone(),
            is_deaf: is_deaf.clone(),
        };
        tokio::spawn(serve(listener, accepting));
        Self {
            port,
            directory,
            received,
            breaks,
            is_deaf,
        }
    }

    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "kind": "syslog",
            "address": format!("localhost:{}", self.port),
            "ca_file": self.directory.path().join("ca.pem"),
        });
        for (key, value) in more.as_object().expect("an object") {
            config[key] = value.clone();
        }
        config
    }

    /// The keys of a configuration with a certificate.
    pub fn own(&self) -> Value {
        json!({
            "certificate_file": self.directory.path().join("own.pem"),
            "key_file": self.directory.path().join("own.key"),
        })
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.received.lock().expect("whole").clone()
    }

    /// Whether new connections are taken and not read from.
    pub fn is_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
    }

    /// Ends every connection without reading what is still on it.
    pub fn break_off(&self) {
        let _ = self.breaks.send(());
    }
}

fn rustls_pem(path: &Path) -> rustls::pki_types::CertificateDer<'static> {
    let pem = std::fs::read(path).expect("reads");
    let mut pem = pem.as_slice();
    let mut found = rustls_pemfile::certs(&mut pem);
    found.next().expect("one").expect("a certificate")
}

#[derive(Clone)]
struct Accepting {
    acceptor: TlsAcceptor,
    received: Arc<Mutex<Vec<u64>>>,
    breaks: broadcast::Sender<()>,
    is_deaf: Arc<AtomicBool>,
}

async fn serve(listener: TcpListener, accepting: Accepting) {
    while let Ok((stream, _)) = listener.accept().await {
        let accepting = accepting.clone();
        let mut breaks = accepting.breaks.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = read(stream, &accepting) => {}
                _ = breaks.recv() => {}
            }
        });
    }
}

async fn read(stream: TcpStream, accepting: &Accepting) {
    let Ok(mut stream) = accepting.acceptor.accept(stream).await else {
        return;
    };
    if accepting.is_deaf.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    loop {
        let mut length = String::new();
        loop {
            match stream.read_u8().await {
                Ok(b' ') => break,
                Ok(digit) => length.push(digit.into()),
                Err(_) => return,
            }
        }
        let length: usize = length.parse().expect("octet counting");
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).await.is_err() {
            return;
        }
        let message = String::from_utf8(message).expect("text");
        let number = parse(&message);
        accepting.received.lock().expect("whole").push(number);
    }
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD MSG`
fn parse(message: &str) -> u64 {
    let fields: Vec<&str> = message.splitn(8, ' ').collect();
    let [version, time, _host, app, process, kind, data, json] = fields[..] else {
        panic!("{message}");
    };
    assert_eq!(version, "<110>1", "log audit, informational");
    assert!(time.ends_with('Z') && time.len() == 27, "{time}");
    assert_eq!((app, kind, data), ("palisade", "registered", "-"));
    process.parse::<u32>().expect("a process");
    number(json).expect("an event")
}
