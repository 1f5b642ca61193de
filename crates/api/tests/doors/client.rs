//! An HTTPS client as small as a device's.

use std::{net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cms::{cert::CertificateChoices, content_info::ContentInfo, signed_data::SignedData};
use der::{Decode, Encode};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::KeyPair;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What a door answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The certificates in an answer of EST, in DER.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.header("content-transfer-encoding"), "base64");
        let flat: String = self.text().split_whitespace().collect();
        let der = STANDARD.decode(flat).expect("base64");
        let content = ContentInfo::from_der(&der).expect("PKCS#7");
        let signed: SignedData = content.content.decode_as().expect("signed data");
        let held = signed.certificates.expect("certificates").0;
        held.iter()
            .map(|choice| match choice {
                CertificateChoices::Certificate(found) => found.to_der().expect("DER"),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// The one certificate in an answer.
    pub fn certificate(&self) -> Vec<u8> {
        let mut found = self.certificates();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }
}

/// A client that trusts a root, and may have a certificate.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub config: ClientConfig,
}

impl Client {
    pub fn new(
        address: SocketAddr,
        root: CertificateDer<'static>,
        identity: Option<(Vec<u8>, &KeyPair)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            Some((der, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                let chain = vec![CertificateDer::from(der)];
                builder.with_client_auth_cert(chain, key).expect("a client")
            }
            None => builder.with_no_client_auth(),
        };
        Self { address, config }
    }

    pub async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(self.config.clone()))
            .connect(name, stream)
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"")
            .await
            .expect("answers")
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let sent = self.send(Method::POST, path, headers, body).await;
        sent.expect("answers")
    }

    /// One request on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = self.connect().await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"))
            .header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        let io = TokioIo::new(stream);
        let response = if is_http2 {
            let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }
}

/// The header that shows a token.
pub fn basic(secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("device:{secret}")))
}
