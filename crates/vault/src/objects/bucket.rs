//! What of a bucket `object_store` does not know: its versions. A bucket that keeps them would keep what is erased.

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use http::{Method, StatusCode};
use object_store::{
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpClient, HttpError, HttpRequest, HttpRequestBody},
    path::Path,
};
use url::Url;

use super::{ObjectsError, versions::Versions};

/// The most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How many lists of versions of one object are gone through: each is taken away before the next.
const MAX_LISTS: usize = 1_000;
const RETRY: Duration = Duration::from_millis(200);

/// A bucket, asked in the words of S3.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) s3: Arc<AmazonS3>,
    pub(super) client: HttpClient,
    /// With the bucket, without what is in it.
    pub(super) address: Url,
    pub(super) region: String,
    pub(super) retries: usize,
}

/// What a bucket does with what was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It is gone.
    None,
    /// It is kept as an older version, until that is deleted by its name.
    Kept,
}

/// An answer that was read whole.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// Whether the store does not know of versions at all.
    fn is_unknown(&self) -> bool {
        matches!(
            self.status,
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED
        )
    }

    fn refused(&self, act: &'static str) -> ObjectsError {
        let body = String::from_utf8_lossy(&self.body);
        let code = body
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"));
        let plain = |one: &char| one.is_ascii_alphanumeric();
        let code = code.map_or("", |(code, _)| code);
        ObjectsError::Refused {
            act,
            status: self.status.as_u16(),
            code: code.chars().filter(plain).take(64).collect(),
        }
    }
}

impl Bucket {
    /// Takes an object away with every version of it that the bucket keeps.
    pub(super) async fn delete(&self, path: &Path) -> Result<(), ObjectsError> {
        for _ in 0..MAX_LISTS {
            let Some(versions) = self.versions(path).await? else {
                return self.delete_version(path, None).await;
            };
            let mut found = 0;
            for version in versions.of(path.as_ref()) {
                self.delete_version(path, Some(&version.version_id)).await?;
                found += 1;
            }
            if found == 0 {
                // A list that is cut before it comes to our object says nothing about it.
                return match versions.is_part() {
                    true => Err(ObjectsError::Versions(path.to_string())),
                    false => Ok(()),
                };
            }
        }
        Err(ObjectsError::Versions(path.to_string()))
    }

    /// Whether the bucket keeps versions; `None` where the store does not know of any.
    pub(super) async fn versioning(&self) -> Result<Versioning, ObjectsError> {
        let answer = self.ask(&Method::GET, None, &[("versioning", "")]).await?;
        if answer.is_unknown() {
            return Ok(Versioning::None);
        }
        if !answer.status.is_success() {
            return Err(answer.refused("say whether it keeps versions (s3:GetBucketVersioning)"));
        }
        let body = String::from_utf8_lossy(&answer.body);
        let has_any = body.contains("<Status>Enabled") || body.contains("<Status>Suspended");
        Ok(match has_any {
            true => Versioning::Kept,
            false => Versioning::None,
        })
    }

    /// What there is of an object; `None` where the store does not know of versions.
    async fn versions(&self, path: &Path) -> Result<Option<Versions>, ObjectsError> {
        let query = [("versions", ""), ("prefix", path.as_ref())];
        let answer = self.ask(&Method::GET, None, &query).await?;
        if answer.is_unknown() {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(answer.refused("list versions (s3:ListBucketVersions)"));
        }
        let list = Versions::parse(&answer.body);
        list.map(Some)
            .ok_or_else(|| ObjectsError::Versions(path.to_string()))
    }

    async fn delete_version(&self, path: &Path, version: Option<&str>) -> Result<(), ObjectsError> {
        let query: Vec<(&str, &str)> = version.map(|id| ("versionId", id)).into_iter().collect();
        let answer = self.ask(&Method::DELETE, Some(path), &query).await?;
        match answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            true => Ok(()),
            false if version.is_some() => {
                Err(answer.refused("delete a version (s3:DeleteObjectVersion)"))
            }
            false => Err(answer.refused("delete (s3:DeleteObject)")),
        }
    }

    /// Asks, again where that may help.
    async fn ask(
        &self,
        method: &Method,
        path: Option<&Path>,
        query: &[(&str, &str)],
    ) -> Result<Answer, ObjectsError> {
        let mut tried = 0;
        loop {
            let answer = self.ask_once(method, path, query).await;
            let may_help = match &answer {
                Ok(answer) => answer.status.is_server_error() && !answer.is_unknown(),
                Err(ObjectsError::Http(_)) => true,
                Err(_) => false,
            };
            if !may_help || tried >= self.retries {
                return answer;
            }
            tried += 1;
            tokio::time::sleep(RETRY * tried as u32).await;
        }
    }

    async fn ask_once(
        &self,
        method: &Method,
        path: Option<&Path>,
        query: &[(&str, &str)],
    ) -> Result<Answer, ObjectsError> {
        let mut address = self.address.clone();
        if let Some(path) = path {
            address.set_path(&format!("{}/{path}", self.address.path()));
        }
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = http::Uri::try_from(address.as_str())
            .map_err(|_| ObjectsError::Versions(address.path().to_owned()))?;
        let credential = self.s3.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let response = self.client.execute(request).await?;
        let status = response.status();
        let mut body = Vec::new();
        let mut parts = response.into_body().bytes_stream();
        while let Some(part) = parts.try_next().await? {
            if body.len() + part.len() > MAX_ANSWER {
                return Err(ObjectsError::Versions(address.path().to_owned()));
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer { status, body })
    }
}

impl From<HttpError> for ObjectsError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}
