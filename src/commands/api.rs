//! The API to ask: the user's, or the built-in one.

use super::command_error::CommandError;
use crate::config::Settings;
use crate::plan::RequestSettings;

/// What is requested, and the built-in API behind it for as long as this lives.
pub(super) struct Api {
    request: RequestSettings,
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
        use crate::demo::Catalogue;
        let Some(demo) = &settings.demo else { return Ok(Self::unstarted(settings)) };
        let catalogue =
            Catalogue::start(demo).map_err(|error| command_error::of_start("the built-in API", &error))?;
        let request = settings.request.clone();
        // The port is another one in every run, and the job is the same.
        let identity_url = Some(request.url);
        let url = if request.bulk.is_some() { catalogue.pack_template() } else { catalogue.url_template() };
        let request = RequestSettings { url, identity_url, ..request };
        Ok(Self { request, _catalogue: Some(catalogue) })
    }

    /// There is no built-in API to start.
    #[cfg(not(feature = "demo"))]
    #[allow(clippy::unnecessary_wraps, reason = "the same signature as with the feature")]
    pub(super) fn start(settings: &Settings) -> Result<Self, CommandError> {
        Ok(Self::unstarted(settings))
    }

    /// The request alone: for what sends none.
    pub(super) fn unstarted(settings: &Settings) -> Self {
        Self {
            request: settings.request.clone(),
            #[cfg(feature = "demo")]
            _catalogue: None,
        }
    }

    /// What is requested from it.
    pub(super) fn request(&self) -> &RequestSettings {
        &self.request
    }
}
