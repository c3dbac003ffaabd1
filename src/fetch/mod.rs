//! One job to its outcome.
//!
//! `fetcher` holds the one retry loop; everything around it is a pure step that it takes: `classify` says what an
//! answer means, `redirect` where it leads, `backoff` how long to wait, `health` whether to go on. Only `transport`
//! touches the network.

mod backoff;
mod classify;
mod cookies;
mod fetcher;
mod field_value;
mod first_attempts;
mod health;
mod link;
mod next_address;
pub(crate) mod rate_fields;
mod redirect;
mod refusal;
pub(crate) mod retry_after;
mod shutdown;
mod token;
mod transport;

pub(crate) use classify::{
    BodyAs, BulkFilters, Classifier, ColumnFault, ColumnFilters, FilterFault, Filters, MeaningSettings,
    NextPage, NullOn, PageSettings, ResponseSettings, RowCells, RowUse, SameErrors, SelectError, decode,
    filter_meant,
};
pub(crate) use fetcher::{Companions, Fetcher, ItemEnd, PackEnd, RetrySettings, UnpackedAnswer};
pub(crate) use health::OUTAGE_PAUSES;
pub(crate) use redirect::Follow;
pub(crate) use shutdown::Shutdown;
pub(crate) use token::{RefreshTokenStore, TokenEndpoint, TokenGrant, TokenSettings, TokenSource};
#[cfg(test)]
pub(crate) use transport::RawAnswer;
#[cfg(test)]
pub(crate) use transport::Reuse;
#[cfg(test)]
pub(crate) use transport::SendError;
pub(crate) use transport::ServedConnections;
#[cfg(feature = "cloud")]
pub(crate) use transport::store_client;
pub(crate) use transport::{
    ConnectionSettings, Http, HttpChoice, OnConnected, PROXY_SCHEMES, Proxy, ProxyRules, ProxySource,
    ServiceConnector,
};
pub(crate) use transport::{
    Transport, TransportError, TransportSettings, is_proxy_of_environment, is_proxy_scheme,
};
