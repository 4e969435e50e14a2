//! Events as JSON, one object a line on standard output.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Stage, show::sanitise};
use crate::{
    protocol::TransferId,
    transfer::{Event, Observer},
};

/// At most four progress events a second for each transfer.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// Prints events for programs.
#[derive(Debug)]
pub struct JsonEvents {
    stage: Stage,
    progress: Mutex<HashMap<TransferId, Instant>>,
}

impl Observer for JsonEvents {
    fn event(&self, event: Event) {
        if let Event::Progress { transfer, .. } = &event
            && !self.is_due(*transfer)
        {
            return;
        }
        if let Event::Done { transfer, .. } = &event {
            self.progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(transfer);
        }
        match to_json(event) {
            Ok(value) => print_line(&value),
            Err(notice) => self.stage.line(&sanitise(&notice)),
        }
    }
}

impl JsonEvents {
    /// What is for people goes to this stage.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        Self {
            stage,
            progress: Mutex::default(),
        }
    }

    fn is_due(&self, transfer: TransferId) -> bool {
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last
            .get(&transfer)
            .is_none_or(|at| at.elapsed() >= PROGRESS_PAUSE);
        if due {
            last.insert(transfer, Instant::now());
        }
        due
    }
}

/// Prints one object on a line of its own, at once.
pub fn print_line(value: &Value) {
    let mut out = std::io::stdout().lock();
    // Whoever read our output is gone: there is nobody left to tell.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// An event for programs, or a notice for people.
fn to_json(event: Event) -> Result<Value, String> {
    Ok(match event {
        Event::Joined { id, name, relay } => {
            json!({"event": "joined", "id": id, "name": name, "relay": relay})
        }
        Event::Disconnected { reason, retry_in } => {
            json!({"event": "disconnected", "reason": reason, "retry_in": retry_in.as_secs_f64()})
        }
        Event::Peer {
            id,
            name,
            state: s,
            since,
        } => {
            json!({"event": "peer", "id": id, "name": name, "state": s.as_str(), "since": since.as_secs()})
        }
        Event::Offer {
            transfer,
            from,
            from_name,
            files,
            bytes,
        } => json!({
            "event": "offer", "transfer": transfer, "from": from, "from_name": from_name, "files": files, "bytes": bytes,
        }),
        Event::Offered {
            transfer,
            to,
            files,
            bytes,
        } => json!({
            "event": "offered", "transfer": transfer, "recipients": to.len(), "files": files, "bytes": bytes,
        }),
        Event::Progress {
            transfer,
            peer,
            peer_name,
            file,
            bytes,
            total,
            resumed_from,
        } => json!({
            "event": "progress", "transfer": transfer, "peer": peer, "peer_name": peer_name, "file": file,
            "bytes": bytes, "total": total, "resumed_from": resumed_from,
        }),
        Event::Received {
            transfer,
            path,
            file,
            bytes,
            blake3,
            from,
            from_name,
            resumed_from,
            already_there,
        } => json!({
            "event": "received", "transfer": transfer, "path": path.to_string_lossy(), "file": file, "bytes": bytes,
            "blake3": blake3.to_hex().as_str(), "from": from, "from_name": from_name, "resumed_from": resumed_from,
            "already_there": already_there,
        }),
        Event::Message {
            transfer,
            from,
            from_name,
            text,
        } => json!({
            "event": "message", "transfer": transfer, "from": from, "from_name": from_name, "text": text,
        }),
        Event::Delivered {
            transfer,
            peer,
            peer_name,
            file,
            bytes,
            blake3,
            resumed_from,
            already_there,
        } => json!({
            "event": "delivered", "transfer": transfer, "peer": peer, "peer_name": peer_name, "file": file,
            "bytes": bytes, "blake3": blake3.to_hex().as_str(), "resumed_from": resumed_from, "already_there": already_there,
        }),
        Event::Failed {
            transfer,
            peer,
            file,
            failure,
        } => {
            let mut value = json!({
                "event": "failed", "transfer": transfer, "code": failure.kind().exit_code(), "reason": format!("{failure:#}"),
            });
            if let Some((id, name)) = peer {
                value["peer"] = json!(id);
                value["peer_name"] = json!(name);
            }
            if let Some(file) = file {
                value["file"] = json!(file);
            }
            value
        }
        Event::Retrying { peer, reason } => {
            let mut value = json!({"event": "retrying", "reason": reason});
            if let Some((id, name)) = peer {
                value["peer"] = json!(id);
                value["peer_name"] = json!(name);
            }
            value
        }
        Event::Done {
            transfer,
            files,
            bytes,
            elapsed,
            delivered,
            failed,
        } => json!({
            "event": "done", "transfer": transfer, "files": files, "bytes": bytes, "seconds": elapsed.as_secs_f64(),
            "delivered": delivered, "failed": failed,
        }),
        Event::Notice(text) => return Err(text),
    })
}
