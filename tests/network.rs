//! Promises about networks: which roads lead to the other end, and what happens where one is closed.
//!
//! What needs network namespaces needs root, and what needs another program needs it installed
//! (`nftables`, `tinyproxy`, `nginx`, `caddy`, `avahi-daemon`): without them a line says what was skipped.

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
#[path = "network/direct.rs"]
mod direct;
#[path = "network/families.rs"]
mod families;
#[path = "network/hostile.rs"]
mod hostile;
#[path = "network/lan.rs"]
mod lan;
#[path = "network/lan_hostile.rs"]
mod lan_hostile;
#[path = "network/lan_menu.rs"]
mod lan_menu;
#[cfg(target_os = "linux")]
#[path = "network/long_links.rs"]
mod long_links;
#[path = "network/moves.rs"]
mod moves;
#[path = "network/namespace.rs"]
mod namespace;
#[path = "network/nat.rs"]
mod nat;
#[path = "network/proxies.rs"]
mod proxies;
#[path = "network/tcp.rs"]
mod tcp;
