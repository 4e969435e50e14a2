//! Promises about networks: which roads lead to the other end, and what happens where one is closed.
//!
//! What needs network namespaces needs root, and what needs another program needs it installed
//! (`nftables`, `tinyproxy`, `nginx`): without them a line says what was skipped.

#[path = "common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "common/far.rs"]
mod far;
#[cfg(target_os = "linux")]
#[path = "common/link.rs"]
mod link;

#[path = "network/back.rs"]
mod back;
#[path = "network/blocked.rs"]
mod blocked;
#[path = "network/hostile.rs"]
mod hostile;
#[path = "network/lan.rs"]
mod lan;
#[cfg(target_os = "linux")]
#[path = "network/long_links.rs"]
mod long_links;
#[path = "network/namespace.rs"]
mod namespace;
#[path = "network/proxies.rs"]
mod proxies;
#[path = "network/tcp.rs"]
mod tcp;
