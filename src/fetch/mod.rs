//! One job to its outcome.
//!
//! `fetcher` holds the one retry loop; everything around it is a pure step that it takes: `classify` says what an
//! answer means, `redirect` where it leads, `backoff` how long to wait, `health` whether to go on. Only `transport`
//! touches the network.

mod backoff;
mod classify;
mod fetcher;
mod field_value;
mod health;
pub mod rate_fields;
mod redirect;
pub mod retry_after;
mod shutdown;
mod transport;

pub use classify::{BodyAs, ResponseSettings, Select, SelectError, decode};
pub use fetcher::{Companions, Fetcher, RetrySettings};
pub(crate) use health::OUTAGE_PAUSES;
pub use redirect::Follow;
pub use shutdown::Shutdown;
pub use transport::{
    Http, OnConnected, PROXY_SCHEMES, RawAnswer, Reuse, SendError, Transport, TransportError,
    TransportSettings, is_proxy_of_environment, is_proxy_scheme,
};
