//! What whoever operates a relay relies on.

mod common;
#[path = "operations/ending.rs"]
mod ending;
#[path = "operations/http.rs"]
mod http;
#[path = "operations/metrics.rs"]
mod metrics;
#[path = "operations/packaging.rs"]
mod packaging;
#[path = "operations/records.rs"]
mod records;
#[path = "operations/reloading.rs"]
mod reloading;
#[path = "operations/settings.rs"]
mod settings;
#[path = "operations/status.rs"]
mod status;
