//! Tables of policy tests: a request, and what must come of it.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    sync::Arc,
};

use palisade_core::{
    Action, Decision, DenyReason, DeviceId, IdError, Labels, Lifecycle, PolicyId, Posture,
    ProductId, Request, SegmentId, ServiceId, Timestamp, Topic, TopicFilter, TrustScore,
};
use serde::{Deserialize, Serialize};

use crate::{
    PolicyProblem,
    cell::{Known, Standing},
    engine::{Asker, Circumstances, Engine},
    pdp::denied_before_policy,
};

/// The largest table, in bytes.
const MAX_TABLE: usize = 1024 * 1024;
/// The most tests in a table.
const MAX_TESTS: usize = 5_000;

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    /// The test's name.
    pub name: String,
    /// Whether it came out as expected.
    pub passed: bool,
    /// What was expected, `allow` or `deny`.
    pub expected: String,
    /// What was decided, `allow` or `deny`.
    pub found: String,
    /// Why it was denied, if it was.
    pub reason: Option<DenyReason>,
    /// The policies that decided.
    pub policies: Vec<PolicyId>,
}

/// Why a table of tests could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TestTableError {
    /// The policies to be tested are not valid.
    #[error("the policies to be tested are not valid")]
    Policies(Vec<PolicyProblem>),
    /// The table is too large.
    #[error("a table has at most {MAX_TABLE} bytes and {MAX_TESTS} tests: split it")]
    TooLarge,
    /// The table is not TOML, or has a key that is not known.
    #[error("the table of tests cannot be read: {0}")]
    Toml(#[source] Box<toml::de::Error>),
    /// A test asks for something that is not a request.
    #[error("test {name:?}: {why}")]
    Test {
        /// Which test.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A table, read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(default, rename = "test")]
    tests: Vec<Test>,
}

/// One test. Grants are taken to cover the request: the table is about policies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    action: Action,
    expect: Expect,
    #[serde(default)]
    principal: Kind,
    id: Option<String>,
    lifecycle: Option<Lifecycle>,
    trust: Option<u8>,
    segment: Option<SegmentId>,
    product: Option<ProductId>,
    topic: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    size: u32,
    source: Option<IpAddr>,
    hour: Option<i64>,
    weekday: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Device,
    Service,
}

impl Expect {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Self, TestTableError> {
        if text.len() > MAX_TABLE {
            return Err(TestTableError::TooLarge);
        }
        let table: Self =
            toml::from_str(text).map_err(|error| TestTableError::Toml(Box::new(error)))?;
        if table.tests.len() > MAX_TESTS {
            return Err(TestTableError::TooLarge);
        }
        Ok(table)
    }

    /// Runs all tests, in order.
    pub(crate) fn run(&self, engine: &Engine) -> Result<Vec<TestOutcome>, TestTableError> {
        let run = |test: &Test| {
            test.run(engine).map_err(|why| TestTableError::Test {
                name: test.name.clone(),
                why,
            })
        };
        self.tests.iter().map(run).collect()
    }
}

impl Test {
    fn run(&self, engine: &Engine) -> Result<TestOutcome, String> {
        let (asker, standing) = self.asker()?;
        let topic = self.topic.as_deref().unwrap_or("test");
        let filter;
        let (qos, size) = (self.qos, self.size as usize);
        let request = match self.action {
            Action::Connect => Request::Connect,
            Action::Enroll => Request::Enroll,
            Action::Renew => Request::Renew,
            Action::Publish | Action::Retain => {
                let retain = self.retain || self.action == Action::Retain;
                Request::Publish {
                    topic: parse_topic(topic)?,
                    qos,
                    retain,
                    size,
                }
            }
            Action::Receive => Request::Receive {
                topic: parse_topic(topic)?,
                qos,
                size,
            },
            Action::Subscribe => {
                filter = TopicFilter::parse(topic).map_err(|error| error.to_string())?;
                Request::Subscribe {
                    filter: &filter,
                    qos,
                }
            }
        };
        let (decision, policies) = match denied_before_policy(&standing) {
            Some(reason) => (Decision::Deny(reason), Vec::new()),
            None => {
                let verdict = engine.decide(&asker, &request, self.around()?);
                (verdict.decision, verdict.policies)
            }
        };
        let (found, reason) = match decision {
            Decision::Allow => (Expect::Allow, None),
            Decision::Deny(reason) => (Expect::Deny, Some(reason)),
        };
        Ok(TestOutcome {
            name: self.name.clone(),
            passed: found == self.expect,
            expected: self.expect.as_str().to_owned(),
            found: found.as_str().to_owned(),
            reason,
            policies,
        })
    }

    fn asker(&self) -> Result<(Asker, Standing), String> {
        let id = self.id.as_deref().unwrap_or("test");
        match self.principal {
            Kind::Service => {
                ServiceId::parse(id).map_err(|error| error.to_string())?;
                Ok((Asker::service(id)?, Standing::Service))
            }
            Kind::Device => {
                DeviceId::parse(id).map_err(|error| error.to_string())?;
                let trust = within("trust", i64::from(self.trust.unwrap_or(100)), 0..=100)?;
                let posture = Posture {
                    lifecycle: self.lifecycle.unwrap_or(Lifecycle::Active),
                    trust: TrustScore::new(trust as u8),
                    ..Posture::registered(or_default(self.segment.as_ref(), SegmentId::parse)?)
                };
                let product = or_default(self.product.as_ref(), ProductId::parse)?;
                let asker = Asker::device(id, &product, &posture)?;
                let (labels, posture) = (Labels::default(), Arc::new(posture));
                Ok((
                    asker,
                    Standing::Device(Known {
                        product,
                        labels,
                        posture,
                    }),
                ))
            }
        }
    }

    fn around(&self) -> Result<Circumstances, String> {
        within("qos", i64::from(self.qos), 0..=2)?;
        Ok(Circumstances {
            source: self.source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            now: Timestamp::UNIX_EPOCH,
            hour: within("hour", self.hour.unwrap_or(12), 0..=23)?,
            weekday: within("weekday", self.weekday.unwrap_or(1), 1..=7)?,
        })
    }
}

fn parse_topic(text: &str) -> Result<Topic<'_>, String> {
    Topic::parse(text).map_err(|error| error.to_string())
}

fn or_default<T: Clone>(
    given: Option<&T>,
    parse: impl Fn(&str) -> Result<T, IdError>,
) -> Result<T, String> {
    match given {
        Some(given) => Ok(given.clone()),
        None => parse("default").map_err(|error| error.to_string()),
    }
}

fn within(what: &str, value: i64, range: RangeInclusive<i64>) -> Result<i64, String> {
    match range.contains(&value) {
        true => Ok(value),
        false => Err(format!(
            "{what} is {} to {}, not {value}",
            range.start(),
            range.end()
        )),
    }
}
