//! The one integration binary: the real program against real servers.

mod demo;
mod merge;
mod output;
mod output_failed;
mod output_files;
mod output_kit;
mod output_shapes;
mod resume;
mod resume_kill;
mod signals;
mod http2;
mod redirects;
mod requests;
mod requests_answers;
mod requests_headers;
mod requests_proxy;
mod story;
mod summary;
mod cli;
mod cli_logs;
mod cli_options;
mod config;
mod support;
mod support_selftest;
mod tidy;
mod tls;
