//! Parts of sentences about transfers.

use std::time::Duration;

use crate::{
    display::{bytes, duration, rate},
    protocol::{Code, DeclineReason, PeerName, Road},
    transfer::{Error, PeerRef},
};

/// Below this size and this time, a rate is mostly the time that answers take.
const RATE_LEAST: (u64, Duration) = (1_000_000, Duration::from_secs(1));

/// `3 files, 1.2 MB`, as far as it is known, or a message.
pub(super) fn what(files: Option<u64>, size: Option<u64>, text: bool) -> String {
    if text {
        return "a message".to_owned();
    }
    let files = match files {
        Some(0) => return "directories only".to_owned(),
        Some(1) => "1 file".to_owned(),
        Some(n) => format!("{n} files"),
        None => "files".to_owned(),
    };
    match size {
        Some(size) => format!("{files}, {}", bytes(size)),
        None => files,
    }
}

/// What there is to say of a file that has arrived: its size first, what matters least last.
pub(super) fn facts(
    (size, resumed_from): (u64, u64),
    elapsed: Duration,
    (already_there, renamed): (bool, bool),
    road: Road,
) -> Vec<String> {
    let mut facts = vec![bytes(size)];
    if already_there {
        facts.push("was there already".to_owned());
        return facts;
    }
    if renamed {
        facts.push("under another name".to_owned());
    }
    if resumed_from > 0 {
        facts.push(format!("resumed from {}", bytes(resumed_from)));
    }
    let moved = size.saturating_sub(resumed_from);
    if moved >= RATE_LEAST.0 || elapsed >= RATE_LEAST.1 {
        facts.push(duration(elapsed));
        facts.push(rate(moved, elapsed));
    }
    match road {
        Road::Relay => {}
        Road::Direct | Road::Lan => facts.push(road.to_string()),
        road => facts.push(format!("by {road}")),
    }
    facts
}

/// Who broke a transfer off, and how.
pub(super) fn broken_off_by(name: &PeerName, failure: &Error) -> String {
    let text = format!("{failure:#}");
    match text.as_str() {
        text if text == Code::Cancelled.reason() => format!("{name} stopped"),
        text if text == Code::PeerGone.reason() => format!("{name} went away"),
        text => format!("{name}: {text}"),
    }
}

/// Why an offer was declined here, for whoever sits here, and what to do about it.
pub(super) struct Declined {
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

pub(super) fn declined(peer: &PeerRef, reason: DeclineReason, failure: &Error) -> Declined {
    let PeerRef { id, name } = peer;
    let text = format!("{failure:#}");
    let (why, hint) = match reason {
        DeclineReason::NotTrusted => (
            ": not trusted here".to_owned(),
            Some(format!("`p2p trust add {name} {id}` trusts it")),
        ),
        DeclineReason::KeyChanged => (
            format!(": {text}"),
            Some(format!(
                "if you know that {name} has a new key: `p2p trust add {name} {id}`"
            )),
        ),
        DeclineReason::Refused if text == "declined" => (String::new(), None),
        _ => (format!(": {text}"), None),
    };
    Declined { why, hint }
}
