//! Back into the room, after the relay was lost or before it is there.

use std::time::Duration;

use tokio::time::timeout;

use super::{driver::Driver, target::Backoff};
use crate::{
    quic::LinkError,
    transfer::{Channel, EnterError, Error, Event},
};

impl Driver<'_> {
    /// Enters the room again, and again, until that has taken too long.
    ///
    /// # Errors
    /// The last failure; one that will not pass at once.
    pub(super) async fn reconnect(
        &mut self,
        mut error: Error,
        patience: Duration,
    ) -> Result<Channel, Error> {
        let lost = self.clock.now();
        let mut backoff = Backoff::new();
        loop {
            let left = (lost + patience).saturating_sub(self.clock.now());
            if left.is_zero() {
                return Err(error);
            }
            let pause = backoff.next().min(left);
            self.observer.event(Event::Waiting {
                reason: format!("{error:#}"),
                retry_in: pause,
            });
            self.clock.during(tokio::time::sleep(pause)).await;
            let left = (lost + patience).saturating_sub(self.clock.now());
            // At its very end too, one attempt is worth a moment.
            let limit = left.max(Duration::from_secs(1));
            let entering = timeout(limit, self.member.enter_and_list());
            error = match self
                .clock
                .during(entering)
                .await
                .unwrap_or(Err(EnterError::TurnedAway(LinkError::TimedOut)))
            {
                Ok(channel) => return Ok(channel),
                Err(error) if error.is_passing() => error.into(),
                Err(error) => return Err(error.into()),
            };
        }
    }
}
