//! The one integration binary: the real program against real servers.

mod demo;
mod support;
mod support_selftest;
mod tidy;
