//! One connection, from its first request to its last.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Extensions, HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::Limited;
use hyper::{
    body::Incoming,
    rt::{Executor, Read, Write},
    service::Service,
};
use hyper_util::{
    rt::TokioTimer,
    server::conn::auto::{Builder, Connection},
};
use palisade_core::port::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::Instrument;

use super::{
    ConnectInfo, ServeOptions,
    activity::{Activity, BusyBody},
    spelling,
    unread::Unread,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// What the connections of a door share.
pub(super) struct Http {
    router: Router,
    pub(super) options: ServeOptions,
    pub(super) cancel: CancellationToken,
    www_authenticate: Extensions,
}

impl Http {
    pub(super) async fn new(
        router: Router,
        options: ServeOptions,
        cancel: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            router,
            options,
            cancel,
            www_authenticate: spelling::www_authenticate().await.unwrap_or_default(),
        })
    }

    pub(super) fn note_refused(&self, source: SocketAddr, error: &io::Error) {
        tracing::debug!(%source, %error, "a tls handshake failed");
        let inner = error.get_ref();
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let (Some(refused @ rustls::Error::InvalidCertificate(_)), Some(tell)) =
            (tls, &self.options.on_refused)
        {
            tell(source, refused);
        }
    }

    fn builder(&self, version: Version, executor: Owned) -> Builder<Owned> {
        let options = &self.options;
        let mut builder = Builder::new(executor);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(options.head_timeout)
            // Old clients compare `Content-Type` to the letter.
            .title_case_headers(true)
            .max_buf_size(options.max_head.max(8_192));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(options.max_streams)
            .max_header_list_size(u32::try_from(options.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(options.head_timeout)
            .keep_alive_timeout(options.stall_timeout);
        match version {
            Version::Http1 => builder.http1_only(),
            Version::Http2 => builder.http2_only(),
        }
    }
}

/// Runs what a connection spawns (its HTTP/2 requests); it ends with the connection.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl<F> Executor<F> for Owned
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let end = self.end.clone();
        self.tasks
            .spawn(async move { end.run_until_cancelled(future).await });
    }
}

/// Serves a connection until it ends, is idle for too long, or the door closes and its requests are done.
pub(super) async fn serve_connection<I>(
    http: &Arc<Http>,
    io: I,
    version: Version,
    info: ConnectInfo,
) where
    I: Read + Write + Send + Unpin + 'static,
{
    let source = info.source;
    let activity = Activity::new();
    let owned = Owned {
        tasks: TaskTracker::new(),
        end: CancellationToken::new(),
    };
    let end = owned.end.clone().drop_guard();
    let tasks = owned.tasks.clone();
    let requests = Requests {
        http: http.clone(),
        info,
        activity: activity.clone(),
        owned: owned.clone(),
    };
    let builder = http.builder(version, owned);
    let connection = builder.serve_connection(io, requests);
    let connection = std::pin::pin!(connection);
    if let Err(error) = drive(http, connection, &activity).await {
        tracing::debug!(%source, %error, "a connection broke");
    }
    drop(end);
    tasks.close();
    tasks.wait().await;
}

async fn drive<I>(
    http: &Http,
    mut connection: Pin<&mut Connection<'_, I, Requests, Owned>>,
    activity: &Activity,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    I: Read + Write + Send + Unpin + 'static,
{
    let options = &http.options;
    tokio::select! {
        done = connection.as_mut() => return done,
        () = activity.idle_for(options.head_timeout) => {}
        () = http.cancel.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    match tokio::time::timeout(options.drain_timeout, connection).await {
        Ok(done) => done,
        Err(_) => Err("its requests did not end in time".into()),
    }
}

/// The requests of one connection.
#[derive(Clone)]
struct Requests {
    http: Arc<Http>,
    info: ConnectInfo,
    activity: Arc<Activity>,
    owned: Owned,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let busy = self.activity.begin();
        let max_body = self.http.options.max_body;
        let expects_continue = request.headers().contains_key(header::EXPECT);
        let mut request = request.map(|body| {
            let body = Unread::new(body, expects_continue, self.owned.clone());
            Body::new(Limited::new(body, max_body))
        });
        request.extensions_mut().insert(self.info.clone());
        let span = span(&request, &self.info);
        let answer = self.http.router.clone().oneshot(request);
        let limit = self.http.options.request_timeout;
        let spelling = self.http.www_authenticate.clone();
        let recorder = span.clone();
        let answered = async move {
            let mut response = match tokio::time::timeout(limit, answer).await {
                Ok(Ok(response)) => response,
                Err(_) => too_slow(),
            };
            if response.status() == StatusCode::UNAUTHORIZED {
                response.extensions_mut().extend(spelling);
            }
            record(&recorder, response.status());
            let keep_busy = |body| Body::new(BusyBody { body, _busy: busy });
            Ok(response.map(keep_busy))
        };
        Box::pin(answered.instrument(span))
    }
}

/// What is traced of a request; never its query or headers, which may hold what is secret. The names are
/// those of OpenTelemetry's conventions for HTTP.
fn span(request: &Request<Body>, info: &ConnectInfo) -> tracing::Span {
    tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = %request.method(),
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        client.address = %info.source.ip(),
        http.response.status_code = tracing::field::Empty,
        otel.status_code = tracing::field::Empty,
    )
}

fn record(span: &tracing::Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

fn too_slow() -> Response {
    let text = "the request took too long: send it again, faster\n";
    let mut response = (StatusCode::REQUEST_TIMEOUT, text).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
