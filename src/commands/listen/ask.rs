//! `--accept ask`: a person decides, at the terminal.

use std::io::{IsTerminal, Write};

use tokio::sync::Mutex;

use crate::{
    display::{Stage, bytes, show::sanitise},
    protocol::DeclineReason,
    transfer::receive::{Decision, Gate, OfferView, Refusal},
};

/// Names that are listed in the question.
const NAMES_SHOWN: usize = 10;

/// Asks one question at a time.
#[derive(Debug)]
pub(super) struct Ask {
    turn: Mutex<()>,
    stage: Stage,
}

impl Ask {
    pub(super) fn new(stage: Stage) -> Self {
        Self {
            turn: Mutex::default(),
            stage,
        }
    }
}

impl Gate for Ask {
    fn asks(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    fn decide<'a>(&'a self, offer: &'a OfferView) -> Decision<'a> {
        Box::pin(async move {
            if !self.asks() {
                return Err(Refusal::new(
                    DeclineReason::Refused,
                    "asks a person, and nobody is there",
                ));
            }
            let _turn = self.turn.lock().await;
            // Bars would be drawn over the question and the answer.
            let _pause = self.stage.pause();
            let question = question(offer);
            let answer = tokio::task::spawn_blocking(move || {
                eprint!("{question}");
                let _ = std::io::stderr().flush();
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).map(|_| line)
            });
            match answer.await {
                Ok(Ok(line)) if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") => {
                    Ok(())
                }
                _ => Err(Refusal::new(DeclineReason::Refused, "declined")),
            }
        })
    }
}

/// Who, how many, how much, and what it is called: everything from outside escaped.
fn question(offer: &OfferView) -> String {
    let mut text = format!("{} ({}) offers ", offer.from_name, offer.from.short());
    if offer.text {
        text.push_str("a message");
    } else {
        match offer.files {
            Some(1) => text.push_str("1 file"),
            Some(n) => text.push_str(&format!("{n} files")),
            None => text.push_str("files"),
        }
        if let Some(size) = offer.bytes {
            text.push_str(&format!(", {}", bytes(size)));
        }
    }
    text.push('\n');
    for (name, size) in offer.names.iter().take(NAMES_SHOWN) {
        let size = size
            .map(|size| format!("  {}", bytes(size)))
            .unwrap_or_default();
        text.push_str(&format!("  {}{size}\n", sanitise(name)));
    }
    if offer.names.len() > NAMES_SHOWN || offer.files.is_some_and(|n| n > offer.names.len() as u64)
    {
        text.push_str("  …\n");
    }
    text.push_str("accept? [y/N] ");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PeerId, TransferId};

    #[test]
    fn nothing_in_the_question_can_move_the_cursor() {
        let offer = OfferView {
            transfer: TransferId::from_bytes([0; 16]),
            from: PeerId::from_bytes([1; 32]),
            from_name: "alice".parse().unwrap(),
            files: Some(1),
            bytes: Some(5),
            names: vec![("evil\u{1b}[2J\r\nname".to_owned(), Some(5))],
            text: false,
        };
        let text = question(&offer);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert_eq!(text.lines().count(), 3, "{text:?}");
    }
}
