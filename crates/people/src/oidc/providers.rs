//! The providers that the configuration names.

use std::{path::Path, sync::Arc};

use palisade_core::Clock;
use palisade_oidc::{Provider, Settings, files};

use super::config::OidcConfig;
use crate::OpenError;

/// A provider and what it is to us.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) config: OidcConfig,
    pub(crate) provider: Provider,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Providers(Vec<Known>);

impl Providers {
    /// Reads their secrets and roots; nobody is asked for anything yet.
    pub(crate) fn open(
        configured: &[OidcConfig],
        data: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let open = |config: &OidcConfig| {
            let refused = |why| OpenError::Oidc {
                provider: config.name.clone(),
                why,
            };
            let settings = settings(config, data).map_err(refused)?;
            let provider = Provider::new(settings, clock.clone());
            Ok(Known {
                config: config.clone(),
                provider: provider.map_err(|error| refused(error.to_string()))?,
            })
        };
        configured
            .iter()
            .map(open)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Known> {
        self.0.iter().find(|known| known.config.name == name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &OidcConfig> {
        self.0.iter().map(|known| &known.config)
    }
}

fn settings(config: &OidcConfig, data: &Path) -> Result<Settings, String> {
    let client_secret = match (&config.client_secret_file, &config.client_secret_env) {
        (Some(path), _) => files::read_secret(&data.join(path))?,
        (None, Some(variable)) => files::secret_of_environment(variable)?,
        (None, None) => {
            return Err("name one of client_secret_file and client_secret_env".to_owned());
        }
    };
    let ca = config.ca.as_ref().map(|path| data.join(path));
    Ok(Settings {
        name: config.name.clone(),
        issuer: config.issuer.clone(),
        client_id: config.client_id.clone(),
        client_secret,
        scopes: config.scopes.clone(),
        acr_values: config.second_factor_acr.clone(),
        roots: files::read_roots(ca.as_deref())?,
    })
}
