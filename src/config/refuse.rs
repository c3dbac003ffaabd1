//! The error for settings that contradict each other.

use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::Setting;
use crate::config::origin::Origin;
use crate::model::Exit;

/// Refuses the first of two settings; the other is the one that it contradicts.
///
/// The exit code is that of the config file only if both settings stand there.
pub(super) fn refuse(layers: &Layers, settings: [&Setting; 2], why: String, hint: &str) -> ConfigError {
    let set = settings.map(|setting| layers.origin(setting));
    let outside = set.iter().any(Origin::is_of_this_run);
    let exit = if outside { Exit::Usage } else { Exit::Config };
    let [origin, _] = set;
    ConfigError::Contradiction { origin, why, hint: hint.into(), exit }
}
