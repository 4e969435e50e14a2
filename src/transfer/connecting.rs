//! From a member to one of the relays of its room.

use std::{sync::Arc, time::Duration};

use super::{Channel, Member};
use crate::{
    home::PathNote,
    identity::{HostPort, RelayAddress},
    protocol::{Code, Road},
    quic::{
        Certificate, ClientEndpoint, ConnectError, Credentials, Link, PathRate, Role,
        first_of_several, network_name,
    },
};

/// From the first packet to a complete handshake, for each address of the relay.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
/// How long a relay of a cluster has before the next one is tried beside it: a handshake takes one round
/// trip.
const BETWEEN_RELAYS: Duration = Duration::from_millis(700);

/// A relay that was reached.
pub(super) struct Connected {
    pub(super) place: HostPort,
    pub(super) endpoint: ClientEndpoint,
    pub(super) link: Link,
}

impl Member {
    /// Connects to one of these places, the first that answers; those that fail are noted.
    ///
    /// # Errors
    /// Why the first of them could not be reached; that it has another key only where all of them do.
    pub(super) async fn connect(
        &self,
        relay: &RelayAddress,
        places: &[HostPort],
        role: Role,
    ) -> Result<Connected, ConnectError> {
        let connected = first_of_several(
            places,
            BETWEEN_RELAYS,
            async |place| {
                let connected = self.connect_to(relay, place, role).await;
                if connected.is_err() {
                    self.relays.failed(place);
                }
                connected
            },
            |_: &ConnectError| false,
        );
        match connected.await {
            Ok(connected) => {
                self.relays.works(&connected.place);
                Ok(connected)
            }
            Err(mut failures) => {
                let is_passing = |e: &ConnectError| {
                    !matches!(e, ConnectError::WrongKey { .. } | ConnectError::Config(_))
                };
                let which = failures.iter().position(is_passing).unwrap_or(0);
                Err(failures.swap_remove(which))
            }
        }
    }

    async fn connect_to(
        &self,
        relay: &RelayAddress,
        place: &HostPort,
        role: Role,
    ) -> Result<Connected, ConnectError> {
        let (named, network) = (place.to_string(), network_name());
        let mut roads = self.roads.clone();
        let mut tuning = self.tuning;
        if let Some(notes) = &self.road_notes {
            if notes.is_udp_blocked(&named, &network) {
                roads.tcp_after = Duration::ZERO;
            }
            if matches!(role, Role::Sender) {
                let note = notes.rates().recall(&named, &network);
                tuning.known = note.map(|note| PathRate {
                    rate: note.rate,
                    round_trip: note.round_trip,
                });
            }
        }
        let (endpoint, link) = ClientEndpoint::connect(
            (place.host(), place.port()),
            relay.fingerprint,
            &self.credentials(),
            (role, tuning),
            &roads,
            CONNECT_LIMIT,
        )
        .await?;
        if let Some(notes) = &self.road_notes
            && roads.udp
        {
            notes.note(&named, &network, link.road() == Road::Tcp);
        }
        Ok(Connected {
            place: place.clone(),
            endpoint,
            link,
        })
    }

    /// Waits until the relay answers over UDP, which is tried from time to time.
    ///
    /// For whoever is on TCP; for ever, where UDP is not to be used. Cancel-safe.
    pub(super) async fn udp_opens(&self) {
        if !self.roads.udp {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(self.roads.udp_again).await;
            if self.is_udp_open().await {
                return;
            }
        }
    }

    /// Notes what the way to the relay carries, for the next time.
    pub(super) fn note_rate(&self, channel: &Channel) {
        if let (Some(notes), Some(found)) = (&self.road_notes, channel.measured()) {
            let found = PathNote {
                rate: found.rate,
                round_trip: found.round_trip,
            };
            let relay = channel.place().to_string();
            notes.rates().note(&relay, &network_name(), found);
        }
    }

    /// Whether the relay answers over UDP at this moment.
    async fn is_udp_open(&self) -> bool {
        let Some(relay) = &self.invite.relay else {
            return false;
        };
        let roads = self.roads.clone().only(Road::Relay);
        let places = self.relays.order(relay, self.room());
        let Some(place) = places.first() else {
            return false;
        };
        let credentials = self.credentials();
        let connecting = ClientEndpoint::connect(
            (place.host(), place.port()),
            relay.fingerprint,
            &credentials,
            (Role::Sender, self.tuning),
            &roads,
            CONNECT_LIMIT,
        );
        match connecting.await {
            Ok((endpoint, _)) => {
                endpoint.close(Code::Done).await;
                true
            }
            Err(_) => false,
        }
    }

    fn credentials(&self) -> Arc<Credentials> {
        let certificate = Certificate::of(&self.identity);
        let credentials = Credentials::new(certificate.certificate, certificate.private_key);
        Arc::new(credentials)
    }
}
