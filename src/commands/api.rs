//! The API to ask: the user's, or the built-in one.

use super::command_error::CommandError;
use super::wiring;
use crate::config::Settings;
use crate::plan::RequestSettings;

/// An address, and the built-in API behind it for as long as this lives.
pub(super) struct Api {
    url: String,
    /// The same for every run of the job. The port of the built-in API is not.
    identity_url: String,
    #[cfg(feature = "demo")]
    _catalogue: Option<crate::demo::Catalogue>,
}

impl Api {
    /// Starts the built-in API, if the settings ask for it.
    ///
    /// # Errors
    /// It cannot be started.
    #[cfg(feature = "demo")]
    pub(super) fn start(settings: &Settings) -> Result<Self, CommandError> {
        use super::command_error;
        use crate::demo::{Catalogue, DemoSettings};
        let Some(demo) = settings.demo else { return Ok(Self::unstarted(settings)) };
        let wanted = DemoSettings { latency: demo.latency, failures: demo.failures.share(), rate: demo.rate };
        let catalogue =
            Catalogue::start(&wanted).map_err(|error| command_error::of_start("the built-in API", &error))?;
        let url = catalogue.url_template();
        Ok(Self { url, _catalogue: Some(catalogue), ..Self::unstarted(settings) })
    }

    /// There is no built-in API to start.
    #[cfg(not(feature = "demo"))]
    #[allow(clippy::unnecessary_wraps, reason = "the same signature as with the feature")]
    pub(super) fn start(settings: &Settings) -> Result<Self, CommandError> {
        Ok(Self::unstarted(settings))
    }

    /// The address alone: for what sends no request.
    pub(super) fn unstarted(settings: &Settings) -> Self {
        let url = match &settings.request.url {
            Some(url) => url.reveal().to_owned(),
            None => "http://demo.invalid/products/{sku}".to_owned(),
        };
        Self {
            identity_url: url.clone(),
            url,
            #[cfg(feature = "demo")]
            _catalogue: None,
        }
    }

    /// What is requested from it.
    pub(super) fn request(&self, settings: &Settings) -> RequestSettings {
        let identity_url = Some(self.identity_url.clone());
        RequestSettings { identity_url, ..wiring::request(settings, &self.url) }
    }
}
