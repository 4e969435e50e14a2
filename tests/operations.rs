//! What whoever operates a relay relies on.

mod common;
#[path = "operations/http.rs"]
mod http;
#[path = "operations/metrics.rs"]
mod metrics;
#[path = "operations/settings.rs"]
mod settings;
#[path = "operations/status.rs"]
mod status;
