//! What takes the place of a new connection that stays silent.

use super::super::observed_io::ConnectionIo;
use super::Http1Connection;

/// Where a request may move whose new connection stays silent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Movable {
    /// It may act twice.
    Nowhere,
    /// It moved too often to new connections.
    ToKept,
    Anywhere,
}

/// What a request whose new connection stays silent is sent on.
pub(in super::super) enum Substitute<S: ConnectionIo> {
    Kept(Box<Http1Connection<S>>),
    New,
}
