//! Traces by OTLP over HTTP, where the configuration names a collector. The exporter has a thread of its
//! own, a bounded queue, and drops what a slow collector does not take: tracing never holds a door up.

use std::{io::Read, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, registry::LookupSpan};
use ureq::{
    Agent,
    http::{Request, Response},
    tls::{RootCerts, TlsConfig},
};

use crate::{
    client::read_roots,
    config::TelemetrySection,
    failure::{Context, Failure},
};

/// The longest that one export may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer of a collector, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// What exports the traces of this process.
pub(crate) struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Opens the export, where there is a collector. It need not be reachable.
    pub(crate) fn open(section: &TelemetrySection) -> Result<Option<Self>, Failure> {
        let Some(endpoint) = &section.otlp_endpoint else {
            return Ok(None);
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(section.otlp_ca.as_deref())?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .context("telemetry")?;
        let sampler = Sampler::TraceIdRatioBased(section.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(Resource::builder().with_service_name("palisade").build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What hands spans over to the export.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("palisade"))
            .with_filter(LevelFilter::INFO)
    }

    /// Exports what is held, and ends.
    pub(crate) fn close(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

/// The collector, as the exporter's thread speaks to it.
#[derive(Debug)]
struct Collector(Agent);

impl Collector {
    fn new(ca: Option<&Path>) -> Result<Self, Failure> {
        let roots = match ca {
            Some(path) => {
                let text = std::fs::read_to_string(path).context(path.display())?;
                read_roots(&text).context(path.display())?
            }
            None => Vec::new(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self(config.new_agent()))
    }
}

#[async_trait]
impl HttpClient for Collector {
    // It blocks: the exporter calls it on a thread that does nothing else.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, body.to_vec());
        let (head, body) = self.0.run(request)?.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .take(MAX_ANSWER)
            .read_to_end(&mut bytes)?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
    };

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Takes one request as a collector would, and returns its first line and body.
    fn take_one(listener: &TcpListener) -> (String, Vec<u8>) {
        let (mut connection, _) = listener.accept().expect("accepts");
        let mut reader = BufReader::new(connection.try_clone().expect("clones"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).expect("a line");
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .expect("a length");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer).expect("answers");
        (head.lines().next().unwrap_or_default().to_owned(), body)
    }

    #[test]
    fn a_span_reaches_the_collector_with_what_it_says() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("an address");
        let section = TelemetrySection {
            otlp_endpoint: Some(format!("http://{address}/")),
            ..TelemetrySection::default()
        };
        let telemetry = Telemetry::open(&section)
            .expect("opens")
            .expect("a collector");
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("enrolment", device = "cam-1").in_scope(|| ());
        });
        let collector = std::thread::spawn(move || take_one(&listener));
        telemetry.close();
        let (line, body) = collector.join().expect("ends");
        assert_eq!(line, "POST /v1/traces HTTP/1.1");
        let has = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
        for text in ["palisade", "enrolment", "device", "cam-1"] {
            assert!(has(text), "{text} is missing");
        }
    }

    #[test]
    fn nothing_is_opened_without_a_collector() {
        let section = TelemetrySection::default();
        assert!(Telemetry::open(&section).expect("opens").is_none());
    }
}
