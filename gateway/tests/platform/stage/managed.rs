//! Servers as operators run them: Postgres and Redis with TLS and passwords, Sentinels, a Cluster. Each belongs to one
//! test and ends with it.

mod certificates;
mod postgres;
mod redis;

pub(crate) use self::{
    certificates::Certificates,
    postgres::TlsPostgres,
    redis::{Cluster, SentinelSet, TlsRedis},
};
