//! The one integration binary: the real program against real servers.

mod demo;
mod output;
mod output_failed;
mod output_files;
mod output_kit;
mod signals;
mod support;
mod support_selftest;
mod tidy;
