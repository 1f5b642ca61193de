//! Import of an inventory: CSV with a line for each device. All lines are checked, and none is applied
//! where one is wrong. The body is read as it comes: memory holds a few lines and the ids seen so far.

mod line;
mod lines;

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{Context, SHA256};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use palisade_core::{
    Device, DeviceId, Door, Event, EventKind, Posture, Product, ProductId, SegmentId,
};
use palisade_store::{Import, RegisterError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    acts::Done,
    devices::unnamed,
    extract::{Query, media_type_is, too_large},
    replay::{self, Replay},
    routes::Routes,
};
use crate::problem::{Problem, ProblemItem, ProblemKind};
use line::{Columns, Row};
use lines::Lines;

/// The largest file, in bytes.
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// The most devices of one file.
const MAX_DEVICES: usize = 2_000_000;
/// Errors that are reported one by one.
const MAX_ERRORS: usize = 1_000;
/// Devices that are checked against the database and staged at a time.
const BATCH: usize = 5_000;

pub(super) fn routes() -> Routes {
    Routes::default().streamed_write(
        Scope::DevicesWrite,
        "device.import",
        routes!(import_devices),
    )
}

/// Reads an inventory from memory, for the fuzz target.
pub(crate) fn read_inventory(bytes: &[u8], piece: usize) -> usize {
    let (mut lines, mut columns, mut devices) = (Lines::default(), None, 0);
    let mut each = |_, line: Result<&[u8], lines::TooLong>| {
        let Ok(cells) = line::cells(line) else {
            return;
        };
        match &columns {
            None => columns = Columns::parse(&cells).ok(),
            Some(columns) => devices += usize::from(Columns::row(columns, &cells).is_ok()),
        }
    };
    for piece in bytes.chunks(piece.max(1)) {
        lines.feed(piece, &mut each);
    }
    lines.end(&mut each);
    devices
}

/// How to import.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Whether to check only, and register nothing.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
}

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(crate) struct ImportReport {
    /// How many devices the file has.
    #[schema(minimum = 0)]
    devices: u64,
    /// How many were registered; 0 where this was a dry run.
    #[schema(minimum = 0)]
    registered: u64,
    /// Whether this was a dry run.
    dry_run: bool,
}

/// Registers the devices of an inventory.
///
/// The body is CSV in UTF-8 with a header line. Columns: `id` and `product`, and where wanted `labels`
/// (`key=value`, several separated by `;`) and `segment`. All lines are checked. Where one is wrong none
/// is applied, and `errors` names each line and what is wrong with it, the first 1,000 of them. At most
/// 256 MiB.
#[utoipa::path(
    post,
    path = "/api/v1/devices/import",
    tag = "devices",
    params(ImportQuery),
    request_body(
        content = String,
        content_type = "text/csv",
        description = "The inventory.",
        example = "id,product,labels\ncam-0001,camera,site=berlin;floor=3\ncam-0002,camera,\n"
    ),
    responses((status = 200, description = "All lines are good.", body = ImportReport))
)]
async fn import_devices(
    State(state): State<PeopleState>,
    Query(query): Query<ImportQuery>,
    replay: Option<Extension<Replay>>,
    request: Request,
) -> Result<Response, Problem> {
    if !media_type_is(request.headers(), "text/csv") {
        return Err(Problem::new(
            ProblemKind::MediaType,
            "send CSV, with `Content-Type: text/csv`",
        ));
    }
    let Ok(_turn) = state.inner.import.try_acquire() else {
        return Err(Problem::conflict(
            "another import is under way: wait until it has ended",
        ));
    };
    let (parts, body) = request.into_parts();
    let mut checker = Checker::begin(&state, query.dry_run).await?;
    let read = read(body, &mut checker).await;
    let (errors, import, segments) = (checker.errors, checker.import, checker.segments);
    let devices = checker.seen.len() as u64;
    let outcome = async {
        let hash = read?;
        let replay = replay.filter(|_| !query.dry_run);
        if let Some(Extension(replay)) = &replay {
            let fingerprint = replay::fingerprint(&parts, &hash);
            if let Some(answer) = replay.begin(&fingerprint).await? {
                return Ok(Some(answer));
            }
        }
        errors.verdict().map(|()| None)
    };
    let outcome: Result<Option<Response>, Problem> = outcome.await;
    match (outcome, import) {
        (Ok(None), Some(import)) => apply(&state, import, segments).await,
        (Ok(None), None) => {
            let report = ImportReport {
                devices,
                registered: 0,
                dry_run: query.dry_run,
            };
            Ok(Done::nothing(report).into_response())
        }
        (outcome, import) => {
            if let Some(import) = import {
                import.abandon().await?;
            }
            match outcome? {
                Some(answer) => Ok(answer),
                None => Err(Problem::internal(&"an import came to nothing")),
            }
        }
    }
}

/// Reads the body to its end, whatever is wrong with its lines; returns the hash of it.
async fn read(mut body: Body, checker: &mut Checker<'_>) -> Result<Vec<u8>, Problem> {
    let mut lines = Lines::default();
    let mut hash = Context::new(&SHA256);
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("the body ended before its end"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len() as u64;
        if size > MAX_FILE {
            return Err(too_large(MAX_FILE as usize));
        }
        hash.update(&data);
        lines.feed(&data, |number, line| checker.line(number, line));
        if checker.seen.len() > MAX_DEVICES {
            let detail = format!("the file has more than {MAX_DEVICES} devices: split it");
            return Err(Problem::new(ProblemKind::TooLarge, detail));
        }
        checker.flush(BATCH).await?;
    }
    lines.end(|number, line| checker.line(number, line));
    checker.flush(1).await?;
    checker.end();
    Ok(hash.finish().as_ref().to_vec())
}

async fn apply(
    state: &PeopleState,
    import: Import<'_>,
    segments: BTreeSet<SegmentId>,
) -> Result<Response, Problem> {
    let devices = state.store().devices();
    for segment in segments {
        devices.add_segment(&unnamed(segment)).await?;
    }
    let registered = match import.commit().await {
        Ok(registered) => registered,
        Err(RegisterError::Exist(ids)) => {
            let detail = format!(
                "{} of the devices were registered by somebody else meanwhile; none of this file was",
                ids.len()
            );
            return Err(Problem::conflict(detail));
        }
        Err(RegisterError::Store(error)) => return Err(error.into()),
    };
    let parts = state.parts();
    let kind = EventKind::Registered { count: registered };
    let event = Event::new(parts.clock.now(), Door::Rest, kind);
    parts.journal.record(vec![event]).await?;
    let report = ImportReport {
        devices: registered,
        registered,
        dry_run: false,
    };
    Ok(Done::changed(format_args!("{registered} devices"), report).into_response())
}

/// What is wrong with a file.
#[derive(Default)]
struct Errors {
    items: Vec<ProblemItem>,
    more: u64,
}

impl Errors {
    fn push(&mut self, line: u64, field: Option<&str>, detail: impl ToString) {
        if self.items.len() >= MAX_ERRORS {
            self.more += 1;
            return;
        }
        self.items.push(ProblemItem {
            line: Some(line),
            field: field.map(str::to_owned),
            detail: detail.to_string().chars().take(500).collect(),
        });
    }

    fn verdict(mut self) -> Result<(), Problem> {
        if self.items.is_empty() {
            return Ok(());
        }
        let count = self.items.len() as u64 + self.more;
        self.items.sort_by_key(|item| item.line);
        let detail = match self.more {
            0 => format!("{count} errors; nothing was imported"),
            more => format!("{count} errors, {more} of them not listed; nothing was imported"),
        };
        Err(Problem::invalid(detail).with_errors(self.items))
    }
}

/// Checks lines, and stages what they say as long as nothing is wrong.
struct Checker<'a> {
    state: &'a PeopleState,
    products: HashMap<ProductId, Product>,
    columns: Option<Columns>,
    header_failed: bool,
    /// The line on which each id was first seen.
    seen: HashMap<DeviceId, u32>,
    batch: Vec<(u64, Device)>,
    errors: Errors,
    import: Option<Import<'a>>,
    segments: BTreeSet<SegmentId>,
}

impl<'a> Checker<'a> {
    async fn begin(state: &'a PeopleState, dry_run: bool) -> Result<Self, Problem> {
        let store = state.store();
        let products = store.devices().products().await?;
        store.sweep_imports().await?;
        Ok(Self {
            state,
            products: products
                .into_iter()
                .map(|product| (product.id.clone(), product))
                .collect(),
            columns: None,
            header_failed: false,
            seen: HashMap::new(),
            batch: Vec::new(),
            errors: Errors::default(),
            import: match dry_run {
                true => None,
                false => Some(store.begin_import().await?),
            },
            segments: BTreeSet::new(),
        })
    }

    fn line(&mut self, number: u64, line: Result<&[u8], lines::TooLong>) {
        if self.header_failed {
            return;
        }
        let cells = match line::cells(line) {
            Ok(cells) if cells.is_empty() => return,
            Ok(cells) => cells,
            Err(error) => {
                // Without a header no line after it means anything.
                self.header_failed = self.columns.is_none();
                return self.errors.push(number, None, error);
            }
        };
        let Some(columns) = &self.columns else {
            match Columns::parse(&cells) {
                Ok(columns) => self.columns = Some(columns),
                Err(error) => {
                    self.header_failed = true;
                    self.errors.push(number, None, error);
                }
            }
            return;
        };
        match columns.row(&cells) {
            Ok(row) => self.row(number, row),
            Err(errors) => {
                for (field, error) in errors {
                    self.errors.push(number, field, error);
                }
            }
        }
    }

    fn row(&mut self, number: u64, row: Row) {
        let Some(product) = self.products.get(&row.product) else {
            let detail = format!("product {} is not known", row.product);
            return self.errors.push(number, Some("product"), detail);
        };
        if let Some(first) = self.seen.get(&row.id) {
            let detail = format!("device {} is on line {first} already", row.id);
            return self.errors.push(number, Some("id"), detail);
        }
        self.seen.insert(row.id.clone(), number as u32);
        let segment = row.segment.unwrap_or(product.default_segment.clone());
        let device = Device {
            id: row.id,
            product: product.id.clone(),
            labels: row.labels,
            posture: Posture::registered(segment.clone()),
            registered_at: self.state.parts().clock.now(),
            last_seen_at: None,
        };
        self.segments.insert(segment);
        self.batch.push((number, device));
    }

    /// Checks the devices read so far against those that exist, and stages them.
    async fn flush(&mut self, at_least: usize) -> Result<(), Problem> {
        if self.batch.len() < at_least {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let ids: Vec<DeviceId> = batch.iter().map(|(_, device)| device.id.clone()).collect();
        let existing = self.state.store().existing(&ids).await?;
        let mut devices = Vec::with_capacity(batch.len());
        for (line, device) in batch {
            if existing.contains(&device.id) {
                let detail = format!("device {} exists already", device.id);
                self.errors.push(line, Some("id"), detail);
            }
            devices.push(device);
        }
        if self.errors.items.is_empty()
            && let Some(import) = &mut self.import
        {
            import.stage(&devices).await?;
        }
        Ok(())
    }

    fn end(&mut self) {
        if self.columns.is_none() && self.errors.items.is_empty() {
            let detail = "the file is empty: it begins with the header `id,product,labels`";
            self.errors.push(1, None, detail);
        }
    }
}
