//! Where the bytes of a sealed file come from: those that are needed, and no others.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};

/// A sealed file in an object store.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// How large it is, as the system of record says.
    pub(super) bytes: u64,
}

fn odd(message: String) -> ParquetError {
    failed(object_store::Error::Generic {
        store: "object store",
        source: message.into(),
    })
}

fn failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// What an object store gives in place of what was asked for is not believed, and not taken for what it holds.
fn whole(wanted: &Range<u64>, found: Bytes) -> Result<Bytes> {
    if found.len() as u64 != wanted.end - wanted.start {
        let message = format!("the object store gave {} bytes for {wanted:?}", found.len());
        return Err(odd(message));
    }
    Ok(found)
}

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let wanted = range.clone();
        self.store
            .get_range(&self.path, range)
            .map_err(failed)
            .map(move |found| whole(&wanted, found?))
            .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let found = self.store.get_ranges(&self.path, &ranges).await;
            let found = found.map_err(failed)?;
            if found.len() != ranges.len() {
                let message = "the object store gave fewer parts than were asked for";
                return Err(odd(message.to_owned()));
            }
            let parts = ranges.iter().zip(found);
            parts.map(|(wanted, found)| whole(wanted, found)).collect()
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let metadata = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .load_and_finish(self, bytes)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}
