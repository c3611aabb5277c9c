//! Tests of the HTTP API: the real router over a database per test, beside a fake movie-service. One file
//! per resource.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "fakes and fixtures need no production plumbing"
)]

mod accounts;
mod administration;
mod api_keys;
mod batch;
mod bulkheads;
mod charts;
mod commands;
mod contract;
mod dependencies;
mod device_grants;
mod feed;
mod field_cases;
mod films;
mod follow;
mod groups;
mod idempotency;
mod import_report;
mod imports;
mod input;
mod interactions;
mod languages;
mod mail;
mod oidc;
mod own_data;
mod preferences;
mod protection;
mod reactions;
mod restore;
mod schema;
mod session;
mod signing_keys;
mod stage;
mod stats;
mod taste;
mod users;
mod verification;
mod viewings;
mod webhooks;
