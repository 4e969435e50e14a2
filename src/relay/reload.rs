//! Another word on who may use a relay, and how much, while it runs.

use std::io;

use super::{Limits, RelayHandle};
use crate::protocol::RoomId;

impl RelayHandle {
    /// Sets other limits and other rooms. Nobody who is here is dropped: who is not admitted any more, or
    /// beyond a limit, is not let in again.
    ///
    /// # Errors
    /// When the file of admitted rooms cannot be read or written; then no room changes.
    pub fn reload(
        &self,
        limits: Limits,
        open: bool,
        admit: impl IntoIterator<Item = RoomId>,
    ) -> io::Result<()> {
        let places = &self.shared.places;
        places.set(limits.max_peers, limits.network_connections);
        self.shared.quotas.set(limits);
        let admission = &self.shared.admission;
        admission.reload(open)?;
        admit.into_iter().try_for_each(|room| admission.admit(room))
    }
}
