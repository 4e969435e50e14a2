//! Connecting to an end whose key is known, once, within a limit.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{ConnectError, LinkError, tls, verifier::KeyVerifier};
use crate::protocol::PeerId;

/// Connects to `to`, which errors call `named`, and whose key `verifier` holds to be that of `expected`.
///
/// # Errors
/// [`ConnectError::WrongKey`] where it has another one, [`ConnectError::Unreachable`] for all else.
pub(super) async fn connect_pinned(
    endpoint: &quinn::Endpoint,
    (to, named): (SocketAddr, SocketAddr),
    (config, verifier): (quinn::ClientConfig, Arc<KeyVerifier>),
    expected: PeerId,
    limit: Duration,
) -> Result<quinn::Connection, ConnectError> {
    let connecting = endpoint
        .connect_with(config, to, tls::SERVER_NAME)
        .map_err(|e| unreachable(named, &e))?;
    let outcome = timeout(limit, connecting).await;
    if let Some(got) = verifier.refused() {
        return Err(ConnectError::WrongKey {
            address: named.to_string(),
            expected,
            got,
        });
    }
    outcome
        .map_err(|_| unreachable(named, &"no answer in time"))?
        .map_err(|e| unreachable(named, &LinkError::from(e)))
}

/// That `to` was not reached, and why.
pub(super) fn unreachable(to: SocketAddr, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Unreachable {
        address: to.to_string(),
        reason: reason.to_string(),
    }
}
