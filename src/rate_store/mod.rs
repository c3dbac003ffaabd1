//! One rate for many processes, in a Redis: the one module that speaks to it.
//!
//! `rate.lua` decides, by the store's clock and in one step; `redis_store` carries the question and the answer over one
//! connection; `address` reads `--rate-store`. Who may leave by an answer is decided in `limit/shared_rate`.

mod address;
mod redis_store;

pub(crate) use address::StoreAddress;
pub(crate) use redis_store::{OpenStream, RedisStore, StoreClient};

#[cfg(test)]
mod script_tests;
