//! How the built-in API behaves. A build without it has these settings too: they are part of those of a run.

use std::time::Duration;

use crate::model::Rate;

/// How the API behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DemoSettings {
    /// The delay of every answer except 429, which is sent at once, as by a gateway.
    pub latency: Duration,
    /// The share of requests, 0 to 1, that is answered with 500, 502 or 503.
    pub failures: f64,
    /// The share of SKUs, 0 to 1, that have no product and are answered with 404.
    pub missing: f64,
    /// Requests over this rate are answered with 429 and `Retry-After`.
    pub rate: Option<Rate>,
}
