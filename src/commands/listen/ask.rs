//! `--accept ask`: a person decides, at the terminal.

use std::io::{BufRead, IsTerminal, Write};

use tokio::sync::{Mutex, mpsc};

use crate::{
    display::{Stage, bytes, show::sanitise},
    protocol::DeclineReason,
    transfer::receive::{Decision, Gate, OfferView, Refusal},
};

/// Names that are listed in the question.
const NAMES_SHOWN: usize = 10;

/// Lines that may be typed before a question; they are no answer to it.
const TYPED_AHEAD: usize = 64;

/// Asks one question at a time.
#[derive(Debug)]
pub(super) struct Ask {
    /// What is typed, line by line; held by whoever asks.
    lines: Mutex<mpsc::Receiver<String>>,
    stage: Stage,
}

impl Ask {
    /// Begins to read from the terminal, if there is one.
    ///
    /// One thread reads for as long as the process lives: a read cannot be taken back, and one that
    /// was left over from an offer that is gone would swallow the answer to the next.
    pub(super) fn start(stage: Stage) -> Self {
        let (typed, lines) = mpsc::channel(TYPED_AHEAD);
        if std::io::stdin().is_terminal() {
            std::thread::spawn(move || {
                for line in std::io::stdin().lock().lines() {
                    let Ok(line) = line else { return };
                    if typed.blocking_send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            lines: Mutex::new(lines),
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
            let mut lines = self.lines.lock().await;
            // What was typed before the question is no answer to it.
            while lines.try_recv().is_ok() {}
            // Bars would be drawn over the question and the answer.
            let _pause = self.stage.pause();
            let mut asked = Asked(true);
            eprint!("{}", question(offer));
            let _ = std::io::stderr().flush();
            let answer = lines.recv().await;
            asked.0 = false;
            match answer {
                Some(line) if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") => Ok(()),
                _ => Err(Refusal::new(DeclineReason::Refused, "declined")),
            }
        })
    }
}

/// A question that is open; says so when nobody waits for the answer any more.
struct Asked(bool);

impl Drop for Asked {
    fn drop(&mut self) {
        if self.0 {
            eprintln!("\nthe offer was taken back");
        }
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
