//! One job to its outcome.
//!
//! [`fetcher`] holds the one retry loop; everything around it is a pure step it takes: [`classify`]
//! says what an answer means, [`redirect`] where it leads, [`backoff`] how long to wait, [`health`]
//! whether to go on. Only [`transport`] touches the network.

pub mod backoff;
mod body_budget;
mod charset;
pub mod classify;
pub mod decode;
pub mod fetcher;
mod field_value;
pub mod health;
mod offload;
mod pausable_timeout;
pub mod rate_fields;
pub mod redirect;
pub mod retry_after;
pub mod select;
pub mod shutdown;
pub mod transport;

pub use classify::{BodyAs, ResponseSettings};
pub use fetcher::{Companions, Fetcher, RetrySettings};
pub use redirect::Follow;
pub use select::Select;
pub use shutdown::Shutdown;
pub use transport::{
    Http, OnConnected, PROXY_SCHEMES, Transport, TransportError, TransportSettings, Trust, is_proxy_scheme,
};
