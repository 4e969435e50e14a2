//! When a relay counts as lost though its connection does not say so yet.
//!
//! Where there is no other relay, a connection is worth waiting for until QUIC gives it up, which takes 12
//! to 20 s. Members of a room on a cluster have somewhere else to go.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    protocol::Code,
    quic::{Link, Role},
};

/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// From the first ping that is not answered to the end: long enough for some that are lost.
const ANSWER: Duration = Duration::from_secs(3);
/// How long nothing may come at a sender, which hears of its files all the time, before it asks.
const SENDER: Duration = Duration::from_secs(2);
/// The same at a listener whose relay does not say how often it can afford to be asked: QUIC asks as often.
const LISTENER: Duration = Duration::from_secs(10);

/// How long nothing has come, in looks: a process that was stopped has not looked.
#[derive(Debug)]
pub(super) struct Silence {
    looks: u32,
    heard: u64,
    ask_after: u32,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Ask,
    Lost,
}

impl Silence {
    pub(super) fn new(role: Role, ping_every: Option<Duration>) -> Self {
        let quiet = match role {
            Role::Listener => ping_every.unwrap_or(LISTENER),
            _ => SENDER,
        };
        Self {
            looks: 0,
            heard: 0,
            ask_after: looks_in(quiet),
        }
    }

    /// Looks once; `heard` is how many packets have come. To be called every [`LOOK`].
    pub(super) fn look(&mut self, heard: u64) -> Verdict {
        self.looks += 1;
        if std::mem::replace(&mut self.heard, heard) != heard {
            self.looks = 0;
        }
        let asked = self.looks.saturating_sub(self.ask_after);
        if self.looks < self.ask_after {
            Verdict::Wait
        } else if asked >= looks_in(ANSWER) {
            Verdict::Lost
        } else if asked.is_multiple_of(2) {
            Verdict::Ask
        } else {
            Verdict::Wait
        }
    }
}

fn looks_in(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / LOOK.as_millis()).unwrap_or(u32::MAX)
}

/// Watches a link, and ends it once its relay counts as lost.
pub(super) async fn watch(link: Link, role: Role, ping_every: Option<Duration>) {
    let mut silence = Silence::new(role, ping_every);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match silence.look(link.heard()) {
            Verdict::Wait => {}
            Verdict::Ask => link.ping(),
            Verdict::Lost => {
                tracing::info!("the relay does not answer: to another one");
                link.close(Code::Timeout, "no answer");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_does_not_answer_is_lost_after_three_pings_and_one_that_does_never() {
        let mut silence = Silence::new(Role::Sender, None);
        let mut asked = 0;
        for look in 1.. {
            match silence.look(0) {
                Verdict::Wait => {}
                Verdict::Ask => asked += 1,
                Verdict::Lost => {
                    assert_eq!(look, looks_in(SENDER + ANSWER));
                    break;
                }
            }
        }
        assert_eq!(asked, 3);
        let mut silence = Silence::new(Role::Listener, Some(Duration::from_secs(3)));
        let mut heard = 0;
        for _ in 0..1000 {
            match silence.look(heard) {
                Verdict::Wait => {}
                Verdict::Ask => heard += 1,
                Verdict::Lost => panic!("it answers"),
            }
        }
        // Asked as often as the relay can afford, and not once a look.
        assert!((120..=170).contains(&heard), "{heard}");
    }
}
