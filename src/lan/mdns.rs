//! Announces a listener by multicast DNS, by a daemon on a thread of its own.
//!
//! That daemon does not search as well: it keeps every record that is sent to one who searches, as long as the
//! record says, and reads nothing else while more comes.

use std::{sync::Arc, time::Duration};

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    found::{SEALED, SERVICE, VERSION, VERSION_NOW, hour_of, new_instance, seal, unix_now},
    search::Search,
};
use crate::{
    identity::{AnnouncedAt, Identity, LanKey},
    protocol::PeerId,
};

/// How often the hour is looked at; a machine that slept has missed its change.
const HOUR_LOOK: Duration = Duration::from_secs(20);
/// How long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(300);

/// Multicast DNS on all interfaces of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Mdns {
    port: u16,
    loopback: bool,
}

/// Why nothing can be announced.
#[derive(Debug, thiserror::Error)]
#[error("multicast DNS does not work here: {0}")]
pub struct LanError(#[from] mdns_sd::Error);

impl Default for Mdns {
    /// The port of multicast DNS, on all interfaces but loopback.
    fn default() -> Self {
        Self {
            port: mdns_sd::MDNS_PORT,
            loopback: false,
        }
    }
}

impl Mdns {
    /// On loopback alone and another port than everybody's: for tests.
    #[must_use]
    pub const fn on_loopback(port: u16) -> Self {
        Self {
            port,
            loopback: true,
        }
    }

    fn daemon(self) -> Result<Daemon, LanError> {
        let daemon = Daemon(ServiceDaemon::new_with_port(self.port)?);
        let loopback = vec![IfKind::LoopbackV4, IfKind::LoopbackV6];
        if self.loopback {
            daemon.0.disable_interface(IfKind::All)?;
            daemon.0.enable_interface(loopback)?;
        } else {
            daemon.0.disable_interface(loopback)?;
        }
        Ok(daemon)
    }

    /// Announces that I listen, by a relay with this key and port, until the announcer is dropped or
    /// ended. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When multicast DNS does not work on this machine.
    pub fn announce(
        self,
        me: Arc<Identity>,
        key: LanKey,
        (relay, port): (PeerId, u16),
    ) -> Result<Announcer, LanError> {
        let daemon = Arc::new(self.daemon()?);
        let instance = new_instance();
        let mut hour = hour_of(unix_now());
        let info = move |hour| service((&me, relay), &key, (&instance, port, hour));
        daemon.0.register(info(hour)?)?;
        let renewing = tokio::spawn({
            let daemon = daemon.clone();
            async move {
                loop {
                    tokio::time::sleep(HOUR_LOOK).await;
                    let now = hour_of(unix_now());
                    if now == hour {
                        continue;
                    }
                    match info(now).and_then(|info| Ok(daemon.0.register(info)?)) {
                        Ok(()) => hour = now,
                        Err(error) => tracing::debug!(%error, "the announcement was not renewed"),
                    }
                }
            }
        });
        Ok(Announcer { daemon, renewing })
    }

    /// Searches for listeners of the room, until the search is dropped. Call it inside a tokio runtime.
    #[must_use]
    pub fn search(self, key: LanKey) -> Search {
        Search::start(key, (self.port, self.loopback))
    }
}

/// Announces a listener for as long as it lives.
#[derive(Debug)]
pub struct Announcer {
    daemon: Arc<Daemon>,
    renewing: JoinHandle<()>,
}

impl Announcer {
    /// Takes the announcement back, and waits, briefly, until that is said.
    pub async fn end(self) {
        self.renewing.abort();
        if let Ok(over) = self.daemon.0.shutdown() {
            let _ = timeout(GOODBYE, over.recv_async()).await;
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// A daemon that ends with its handle; by itself it would go on.
struct Daemon(ServiceDaemon);

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Daemon(..)")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

/// What is announced in this hour.
fn service(
    (me, relay): (&Identity, PeerId),
    key: &LanKey,
    (instance, port, hour): (&str, u16, u64),
) -> Result<ServiceInfo, LanError> {
    let at = AnnouncedAt {
        instance,
        port,
        hour,
    };
    let sealed = seal(me, relay, key, &at);
    let properties = [(VERSION, VERSION_NOW), (SEALED, &sealed)];
    // The host's name is the instance's, so that it tells nothing either.
    let host = format!("{instance}.local.");
    let mut info = ServiceInfo::new(SERVICE, instance, &host, (), port, &properties[..])?;
    // A name of 16 random bytes is nobody else's: asking first would take a second.
    info.set_requires_probe(false);
    Ok(info.enable_addr_auto())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RoomSecret;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn key(room: u8) -> LanKey {
        RoomSecret::from_bytes([room; 16]).lan_key()
    }

    #[tokio::test]
    async fn listeners_of_a_room_are_found_and_those_of_another_are_not() {
        let mdns = Mdns::on_loopback(5454);
        let announce = |me: &Arc<Identity>, room, n: u8| {
            let relay = PeerId::from_bytes([n; 32]);
            let announced = mdns.announce(me.clone(), key(room), (relay, 40_000 + u16::from(n)));
            announced.unwrap()
        };
        let [alice, bob, eve] = [0; 3].map(|_| Arc::new(Identity::generate()));
        let other = announce(&eve, 2, 9);
        let one = announce(&alice, 1, 1);
        let mut search = mdns.search(key(1));
        let mut found = Vec::new();
        let next = timeout(PATIENCE, search.next()).await.unwrap();
        assert_eq!(next.addresses[0].port(), 40_001);
        found.push(next.announcement.peer);
        // One that comes while the search goes on.
        let two = announce(&bob, 1, 2);
        while found.len() < 2 {
            let next = timeout(PATIENCE, search.next()).await.unwrap();
            let next = next.announcement.peer;
            if !found.contains(&next) {
                found.push(next);
            }
        }
        assert_eq!(found, [alice.id(), bob.id()]);
        for announcer in [one, two, other] {
            announcer.end().await;
        }
    }
}
