//! The place of sealed files: a file is written there, read back and taken away.

use palisade_api::doctor::{Finding, sealed_files};

use crate::{config::Config, data::DataDir};

/// Looks at it as the server would.
pub(super) async fn examine(config: &Config, data: &DataDir) -> Finding {
    let opened = match config.vault.open_objects(data.path()) {
        Ok(objects) => objects,
        Err(error) => {
            let place = config.vault.objects.url.as_deref();
            return sealed_files(place.unwrap_or("the folder"), &Err(error));
        }
    };
    sealed_files(opened.place(), &opened.probe().await)
}
