//! Connecting to an end whose key is known.

use std::{fmt::Display, net::SocketAddr, sync::Arc};

use super::{ConnectError, LinkError, tls, verifier::KeyVerifier};
use crate::protocol::PeerId;

/// Connects to `to`, which errors call `named`, and whose key `verifier` holds to be that of `expected`.
///
/// It has no limit of its own. Dropped, it gives up.
///
/// # Errors
/// [`ConnectError::WrongKey`] where it has another one, [`ConnectError::Unreachable`] for all else.
pub(super) async fn connect_pinned(
    endpoint: &quinn::Endpoint,
    (to, named): (SocketAddr, &(dyn Display + Sync)),
    (config, verifier): (quinn::ClientConfig, Arc<KeyVerifier>),
    expected: PeerId,
) -> Result<quinn::Connection, ConnectError> {
    let outcome = endpoint
        .connect_with(config, to, tls::SERVER_NAME)
        .map_err(|e| unreachable(named, &e))?
        .await;
    if let Some(got) = verifier.refused() {
        return Err(ConnectError::WrongKey {
            address: named.to_string(),
            expected,
            got,
        });
    }
    outcome.map_err(|e| unreachable(named, &LinkError::from(e)))
}

/// That `named` was not reached, and why.
pub(super) fn unreachable(named: &dyn Display, reason: &dyn Display) -> ConnectError {
    ConnectError::Unreachable {
        address: named.to_string(),
        reason: reason.to_string(),
    }
}
