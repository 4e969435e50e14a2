//! The relay is an attacker: whatever it does, nobody is deceived.
//!
//! It runs the library's relay with a hook that lies. Every attack comes to this: nothing lands under
//! a final name, recipient and sender both fail and say why, nobody else is affected, and an honest
//! transfer that follows succeeds. What it keeps to itself it can always keep: that ends in a
//! timeout, never in a false success.

#[path = "hostile_relay/capture.rs"]
mod capture;
#[path = "hostile_relay/co_recipient.rs"]
mod co_recipient;
#[path = "hostile_relay/known_peers.rs"]
mod known_peers;
#[path = "hostile_relay/on_bundles.rs"]
mod on_bundles;
#[path = "hostile_relay/on_files.rs"]
mod on_files;
#[path = "hostile_relay/on_guesses.rs"]
mod on_guesses;
#[path = "hostile_relay/on_messages.rs"]
mod on_messages;
#[path = "hostile_relay/on_numbers.rs"]
mod on_numbers;
#[path = "hostile_relay/on_paths.rs"]
mod on_paths;
#[path = "hostile_relay/on_receipts.rs"]
mod on_receipts;
#[path = "hostile_relay/relay.rs"]
mod relay;
#[path = "hostile_relay/stage.rs"]
mod stage;
#[path = "hostile_relay/through_the_binary.rs"]
mod through_the_binary;
