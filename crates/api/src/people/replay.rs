//! Idempotency keys: a client that does not know whether its write arrived sends it again under the same
//! key and gets the first answer. Answers can hold secrets that are shown once, so what is kept is sealed
//! under a key that only the caller's own credentials give.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{Context, SHA256, digest},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use palisade_core::{Clock, hex};
use palisade_store::{Seen, Store};

use super::{auth::Caller, errors::store_problem};
use crate::problem::Problem;

/// The header that carries the key.
pub(crate) const HEADER: &str = "idempotency-key";
/// The header that says that an answer is one from before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY: usize = 255;

/// An answer that was given before: nothing was done now.
#[derive(Clone, Copy)]
pub(crate) struct Replayed;

/// A write under an idempotency key.
#[derive(Clone)]
pub(crate) struct Replay {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    name: String,
    key: LessSafeKey,
    /// Whether the key was taken for this request: what is another's is neither kept nor let go of.
    is_taken: AtomicBool,
}

impl Replay {
    /// The key of a request, if it has one.
    pub(crate) fn of(
        headers: &HeaderMap,
        caller: &Caller,
        store: &Store,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let bytes = value.as_bytes();
        let is_valid = (1..=MAX_KEY).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic)
            && values.next().is_none();
        if !is_valid {
            return Err(Problem::bad_request(
                "Idempotency-Key: send one, of 1 to 255 visible ASCII characters",
            ));
        }
        let mut name = Context::new(&SHA256);
        name.update(caller.token.to_string().as_bytes());
        name.update(&[0]);
        name.update(bytes);
        let unbound = UnboundKey::new(&AES_256_GCM, caller.seal.derive(bytes).as_ref())
            .map_err(|_| Problem::internal(&"no key to seal a kept answer with"))?;
        Ok(Some(Self {
            inner: Arc::new(Inner {
                store: store.clone(),
                clock: clock.clone(),
                name: hex(name.finish().as_ref()),
                key: LessSafeKey::new(unbound),
                is_taken: AtomicBool::new(false),
            }),
        }))
    }

    /// Takes the key for a request. `Some` is the answer that the same request had before.
    pub(crate) async fn begin(&self, fingerprint: &[u8]) -> Result<Option<Response>, Problem> {
        let now = self.inner.clock.now();
        let keys = self.inner.store.idempotency();
        let seen = keys.begin(&self.inner.name, fingerprint, now).await;
        match seen.map_err(store_problem)? {
            Seen::First => {
                self.inner.is_taken.store(true, Ordering::SeqCst);
                Ok(None)
            }
            Seen::Answered { status, body } => self.open(status, body).map(Some),
            Seen::UnderWay => Err(Problem::conflict(
                "a request with this Idempotency-Key is under way, or ended without an answer: see \
                 what it did before you send another",
            )),
            Seen::Mismatch => Err(Problem::conflict(
                "this Idempotency-Key was used for another request: use a new one",
            )),
        }
    }

    /// Keeps the answer.
    pub(crate) async fn finish(&self, status: StatusCode, body: &[u8]) {
        if !self.inner.is_taken.load(Ordering::SeqCst) {
            return;
        }
        let kept = match self.seal(status, body) {
            Some(sealed) => {
                let keys = self.inner.store.idempotency();
                keys.finish(&self.inner.name, status.as_u16(), &sealed)
                    .await
            }
            None => return,
        };
        // The answer stands; only its repetition will be refused as under way.
        if let Err(error) = kept {
            tracing::error!(%error, "an answer could not be kept under its idempotency key");
        }
    }

    /// Lets go of the key: what it was for came to nothing.
    pub(crate) async fn forget(&self) {
        if !self.inner.is_taken.load(Ordering::SeqCst) {
            return;
        }
        let keys = self.inner.store.idempotency();
        if let Err(error) = keys.forget(&self.inner.name).await {
            tracing::error!(%error, "an idempotency key could not be freed");
        }
    }

    fn seal(&self, status: StatusCode, body: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut sealed = body.to_vec();
        let aad = Aad::from(status.as_u16().to_be_bytes());
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        let key = &self.inner.key;
        key.seal_in_place_append_tag(nonce_value, aad, &mut sealed)
            .ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, status: u16, mut sealed: Vec<u8>) -> Result<Response, Problem> {
        let damaged = || Problem::internal(&"a kept answer cannot be opened");
        let (nonce, rest) = sealed.split_at_mut_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let aad = Aad::from(status.to_be_bytes());
        let opened = self.inner.key.open_in_place(nonce, aad, rest);
        let body = opened.map_err(|_| damaged())?.to_vec();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| damaged())?;
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        if !body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
            *response.body_mut() = Body::from(body);
        }
        response.extensions_mut().insert(Replayed);
        Ok(response)
    }
}

/// What makes two requests the same.
pub(crate) fn fingerprint(parts: &axum::http::request::Parts, body_hash: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let media_type = parts.headers.get(header::CONTENT_TYPE);
    let media_type = media_type.map_or(&[][..], HeaderValue::as_bytes);
    for part in [
        parts.method.as_str().as_bytes(),
        path.as_bytes(),
        media_type,
    ] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.update(body_hash);
    context.finish().as_ref().to_vec()
}

/// The hash of a body that is held whole.
pub(crate) fn body_hash(body: &[u8]) -> Vec<u8> {
    digest(&SHA256, body).as_ref().to_vec()
}
