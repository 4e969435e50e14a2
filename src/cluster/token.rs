//! The cluster key's word that a node belongs to it.

use serde::{Deserialize, Serialize};

use super::{NodeId, NodeName};
use crate::{
    identity::{Identity, PublicKey},
    protocol::Base64,
};

/// A token as it travels: exact bytes, so that the signature needs no canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeToken {
    /// The JSON of what is said.
    pub body: Base64,
    /// Ed25519 by the cluster key.
    pub signature: Base64,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's key: the one that it shows on trunks, and signs its beats with.
    pub key: PublicKey,
    /// The hash of it.
    pub id: NodeId,
    /// What people call it.
    pub name: NodeName,
    /// Until when the token holds, in seconds since 1970.
    pub not_after: u64,
}

/// Why a token admits nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is longer than a token is.
    #[error("the token is too long")]
    TooLong,
    /// The cluster key has not signed it.
    #[error("the token is not of this cluster")]
    Signature,
    /// It says nothing that this version understands.
    #[error("the token cannot be read")]
    Malformed,
    /// It is over.
    #[error("the token has expired: is this machine's clock right?")]
    Expired,
    /// It would hold for longer than any token may.
    #[error("the token holds for more than 30 days: is this machine's clock right?")]
    TooFar,
}

#[derive(Serialize, Deserialize)]
struct Body {
    key: Base64,
    name: NodeName,
    not_after: u64,
}

impl NodeToken {
    /// Says that a node belongs to the cluster of this key.
    #[must_use]
    pub fn sign(cluster: &Identity, node: PublicKey, name: &NodeName, not_after: u64) -> Self {
        let body = Body {
            key: Base64(node.as_bytes().to_vec()),
            name: name.clone(),
            not_after,
        };
        let body = serde_json::to_vec(&body).expect("a token is plain JSON");
        let signature = cluster.sign(CONTEXT, &body).to_vec();
        Self {
            body: Base64(body),
            signature: Base64(signature),
        }
    }
}

/// What a token says, if the cluster key says it and it holds now.
///
/// `now` is in seconds since 1970.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(token: &NodeToken, cluster: &PublicKey, now: u64) -> Result<Node, TokenError> {
    if token.body.0.len() > BODY_MAX {
        return Err(TokenError::TooLong);
    }
    cluster
        .verify(CONTEXT, &token.body.0, &token.signature.0)
        .map_err(|_| TokenError::Signature)?;
    let body: Body = serde_json::from_slice(&token.body.0).map_err(|_| TokenError::Malformed)?;
    let key: [u8; 32] = body.key.0.try_into().map_err(|_| TokenError::Malformed)?;
    if body.not_after < now {
        return Err(TokenError::Expired);
    }
    if body.not_after > now.saturating_add(LIFETIME_MAX) {
        return Err(TokenError::TooFar);
    }
    let key = PublicKey::from_bytes(key);
    Ok(Node {
        id: NodeId(key.peer_id()),
        key,
        name: body.name,
        not_after: body.not_after,
    })
}

const CONTEXT: &str = "p2p/1 cluster node";
/// No token holds for longer, in seconds: one that is stolen is of no use after that.
const LIFETIME_MAX: u64 = 30 * 24 * 3600;
/// Several times what a body takes.
const BODY_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_its_node_in_its_cluster_for_its_time_only() {
        let (cluster, other, node) = (
            Identity::generate(),
            Identity::generate(),
            Identity::generate(),
        );
        let name: NodeName = "one".parse().unwrap();
        let at = |not_after| NodeToken::sign(&cluster, node.public_key(), &name, not_after);
        let now = 1_000_000;
        let seen = verify(&at(now + 5), &cluster.public_key(), now).unwrap();
        assert_eq!(seen.id, NodeId(node.id()));
        assert_eq!((seen.name, seen.not_after), (name.clone(), now + 5));
        let fails = |token: &NodeToken, by: &Identity| verify(token, &by.public_key(), now);
        assert_eq!(fails(&at(now - 1), &cluster), Err(TokenError::Expired));
        let far = at(now + LIFETIME_MAX + 1);
        assert_eq!(fails(&far, &cluster), Err(TokenError::TooFar));
        assert_eq!(fails(&at(now + 5), &other), Err(TokenError::Signature));
        let mut changed = at(now + 5);
        changed.body.0[20] ^= 1;
        assert_eq!(fails(&changed, &cluster), Err(TokenError::Signature));
        changed.body.0 = vec![b' '; BODY_MAX + 1];
        assert_eq!(fails(&changed, &cluster), Err(TokenError::TooLong));
        let body = b"{}".to_vec();
        let signature = cluster.sign(CONTEXT, &body).to_vec();
        let odd = NodeToken {
            body: Base64(body),
            signature: Base64(signature),
        };
        assert_eq!(fails(&odd, &cluster), Err(TokenError::Malformed));
    }
}
