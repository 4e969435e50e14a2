//! `--accept ask`: a person decides, at the terminal.

use std::{
    collections::HashMap,
    io::{BufRead, IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::sleep};

use crate::{
    display::{Stage, bytes, contents, show::sanitise},
    home::KnownPeers,
    identity::Standing,
    protocol::{DeclineReason, PeerId},
    transfer::{
        receive::{Answer, Decision, OfferPolicy, OfferView, Refusal},
        unix_now,
    },
};

/// Lines that may be typed before a question; they are no answer to it.
const TYPED_AHEAD: usize = 64;
/// How long nothing that is typed counts before a question appears: it was meant for the one before.
const QUIET: Duration = Duration::from_millis(500);
/// How often it is looked whether something was printed below the question.
const LOOK: Duration = Duration::from_millis(200);
/// Peers whose offers are answered without a question: more than a person says.
const REMEMBERED_MAX: usize = 1024;

/// Asks one question at a time.
#[derive(Debug)]
pub(super) struct Ask {
    /// What is typed, line by line; held by whoever asks.
    lines: tokio::sync::Mutex<mpsc::Receiver<String>>,
    /// Whose offers are taken without a question, now and later.
    known: KnownPeers,
    /// The same where that could not be saved.
    remembered: Mutex<HashMap<PeerId, bool>>,
    stage: Stage,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Yes,
    No,
    Always,
    Never,
}

impl Choice {
    /// Reads an answer; `None` for what is none. Enter alone is the safe one.
    fn parse(line: &str) -> Option<Self> {
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => Some(Self::Yes),
            "" | "n" | "no" => Some(Self::No),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

impl Ask {
    /// Begins to read from the terminal, if there is one.
    ///
    /// One thread reads for as long as the process lives: a read cannot be taken back, and one that
    /// was left over from an offer that is gone would swallow the answer to the next.
    pub(super) fn start(stage: Stage, known: KnownPeers) -> Self {
        let (typed, lines) = mpsc::channel(TYPED_AHEAD);
        if std::io::stdin().is_terminal() {
            std::thread::spawn(move || {
                for line in std::io::stdin().lock().lines() {
                    let Ok(line) = line else { return };
                    // Full while nobody asks: then it is no answer.
                    if let Err(mpsc::error::TrySendError::Closed(_)) = typed.try_send(line) {
                        return;
                    }
                }
            });
        }
        Self {
            lines: tokio::sync::Mutex::new(lines),
            known,
            remembered: Mutex::default(),
            stage,
        }
    }

    /// Saves what a person said for good, and says how that is undone.
    fn remember(&self, offer: &OfferView, standing: Standing) {
        let name = (&offer.from_name, offer.from_chosen);
        let saved = self
            .known
            .set_standing(name, offer.from, standing, unix_now());
        let how = match standing {
            Standing::Always => "accepted",
            Standing::Never => "declined",
        };
        let from = &offer.from_name;
        match saved {
            Ok(name) => self.stage.line(&format!(
                "offers from {from} are {how} from now on; `p2p trust rm {name}` undoes it"
            )),
            Err(error) => {
                let remembered = self.remembered.lock();
                let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
                if remembered.len() < REMEMBERED_MAX {
                    remembered.insert(offer.from, standing == Standing::Always);
                }
                self.stage.line(&format!(
                    "offers from {from} are {how} until you stop listening: cannot save more ({error})"
                ));
            }
        }
    }

    /// Puts the question until there is an answer to it; `None` when nobody can type any more.
    async fn choose(&self, offer: &OfferView) -> Option<Choice> {
        let mut lines = self.lines.lock().await;
        sleep(QUIET).await;
        flush_input();
        while lines.try_recv().is_ok() {}
        // Bars would be drawn over the question and the answer.
        let _pause = self.stage.pause();
        let mut open = OpenQuestion(true);
        let mut text = question(offer);
        loop {
            eprint!("{text}");
            let _ = std::io::stderr().flush();
            let printed = self.stage.lines_printed();
            let line = loop {
                tokio::select! {
                    line = lines.recv() => break Some(line),
                    // Something was printed below the question: it is put again, below that.
                    () = sleep(LOOK), if self.stage.lines_printed() != printed => break None,
                    () = sleep(LOOK) => {}
                }
            };
            text = match line {
                Some(line) => {
                    match line.as_deref().map(Choice::parse) {
                        Some(None) => {}
                        answer => {
                            open.0 = false;
                            return answer.flatten();
                        }
                    }
                    format!("y, n, always or never?\n{PROMPT}")
                }
                None => format!("\n{}", question(offer)),
            };
        }
    }
}

impl OfferPolicy for Ask {
    fn screen(&self, offer: &OfferView) -> Decision {
        let refuse = |text| Decision::Refuse(Refusal::new(DeclineReason::Refused, text));
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_always = || {
            let known = self.known.load();
            known.is_ok_and(|known| known.standing(offer.from) == Some(Standing::Always))
        };
        match remembered.get(&offer.from) {
            None if is_always() => Decision::Accept,
            Some(true) => Decision::Accept,
            Some(false) => refuse("declined"),
            None if std::io::stdin().is_terminal() => Decision::Ask,
            None => refuse("asks a person there, who has no terminal"),
        }
    }

    fn ask<'a>(&'a self, offer: &'a OfferView) -> Answer<'a> {
        Box::pin(async move {
            // Said while this one waited for its turn.
            let choice = match self.screen(offer) {
                Decision::Ask => self.choose(offer).await,
                Decision::Accept => Some(Choice::Yes),
                Decision::Refuse(_) => None,
            };
            match choice {
                Some(Choice::Always) => self.remember(offer, Standing::Always),
                Some(Choice::Never) => self.remember(offer, Standing::Never),
                _ => {}
            }
            match choice {
                Some(Choice::Yes | Choice::Always) => Ok(()),
                _ => Err(Refusal::new(DeclineReason::Refused, "declined")),
            }
        })
    }
}

/// A question that is open; says so when nobody waits for the answer any more.
struct OpenQuestion(bool);

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        if self.0 {
            eprintln!("\nthe offer was taken back");
        }
    }
}

/// Drops what was typed and not read: whole lines, and the beginning of one.
fn flush_input() {
    #[cfg(unix)]
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
}

/// What ends a question.
const PROMPT: &str = "accept? [y/N] (or always, never) ";

/// Who, how many, how much, and what it is called: everything from outside escaped.
fn question(offer: &OfferView) -> String {
    let (name, caution) = (&offer.from_name, offer.from_name.caution());
    let what = contents(offer.files, offer.bytes, offer.text);
    let mut text = format!("{name}{caution} ({}) offers {what}\n", offer.from.short());
    // All that there are: what is not shown here cannot be held to it.
    for (name, size) in &offer.names {
        let size = size
            .map(|size| format!("  {}", bytes(size)))
            .unwrap_or_default();
        text.push_str(&format!("  {}{size}\n", sanitise(name)));
    }
    if offer.files.is_none_or(|n| n > offer.names.len() as u64) && !offer.text {
        text.push_str("  …\n");
    }
    text.push_str(PROMPT);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::TransferId;

    #[test]
    fn nothing_in_the_question_can_move_the_cursor() {
        let offer = OfferView {
            transfer: TransferId::from_bytes([0; 16]),
            from: PeerId::from_bytes([1; 32]),
            from_name: "alice".parse().unwrap(),
            from_chosen: true,
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

    #[test]
    fn a_typo_is_no_answer_and_enter_alone_is_no() {
        for (line, choice) in [
            ("y", Some(Choice::Yes)),
            (" YES ", Some(Choice::Yes)),
            ("", Some(Choice::No)),
            ("n", Some(Choice::No)),
            ("always", Some(Choice::Always)),
            ("never", Some(Choice::Never)),
            ("yy", None),
            ("u", None),
            ("alway", None),
        ] {
            assert_eq!(Choice::parse(line), choice, "{line:?}");
        }
    }
}
