//! What a relay says of itself: MAC, signature, JSON.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::super::{
    ClusterKey, Directory, Instance, Load, NodeToken, RelayBeat, TokenError,
    token::{self},
};
use crate::identity::{HostPort, SIGNATURE_LEN};

/// A beat that somebody of the cluster has made, whose node is still to be checked.
#[derive(Debug)]
pub(super) struct Unchecked<'a> {
    body: Body,
    signature: &'a [u8],
    signed: &'a [u8],
}

/// What travels.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    inst: Instance,
    /// Counts up, so that no beat counts twice.
    n: u64,
    /// When it was made, in milliseconds since 1970.
    at: u64,
    token: NodeToken,
    public: Vec<String>,
    trunk: SocketAddr,
    #[serde(default)]
    draining: bool,
    /// The last one of this run.
    #[serde(default)]
    leaving: bool,
    /// Others are to say who they are at once.
    #[serde(default)]
    ask: bool,
    #[serde(default)]
    load: Load,
}

/// What a beat says besides who the relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) ask: bool,
    pub(super) leaving: bool,
}

/// The beat of this relay; nothing before its trunk socket is bound.
pub(super) fn encode(directory: &Directory, (n, at): (u64, u64), kind: Kind) -> Option<Vec<u8>> {
    let own = directory.own();
    let body = Body {
        inst: directory.instance(),
        n,
        at,
        token: directory.token(),
        public: own.public.iter().map(HostPort::to_string).collect(),
        trunk: own.trunk?,
        draining: own.draining,
        leaving: kind.leaving,
        ask: kind.ask,
        load: own.load,
    };
    let body = serde_json::to_vec(&body).ok()?;
    let signature = directory.node_key().sign(CONTEXT, &body);
    let mac = directory.key().mac(CONTEXT, &[&signature, &body]);
    Some([&mac[..], &signature, &body].concat())
}

/// Reads what the cluster's secret vouches for, which costs microseconds.
pub(super) fn decode<'a>(bytes: &'a [u8], key: &ClusterKey) -> Option<Unchecked<'a>> {
    if bytes.len() > BEAT_MAX {
        return None;
    }
    let (mac, signed) = bytes.split_at_checked(MAC_LEN)?;
    let (signature, body) = signed.split_at_checked(SIGNATURE_LEN)?;
    if !key.is_mac(CONTEXT, &[signed], mac) {
        return None;
    }
    Some(Unchecked {
        signature,
        signed: body,
        body: serde_json::from_slice(body).ok()?,
    })
}

impl Unchecked<'_> {
    /// Which run of a relay it claims to be of.
    pub(super) fn instance(&self) -> Instance {
        self.body.inst
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.body.n
    }

    /// When it was made, by the clock of whoever made it, in milliseconds since 1970.
    pub(super) fn at(&self) -> u64 {
        self.body.at
    }

    /// What it says besides who the relay is.
    pub(super) fn kind(&self) -> Kind {
        Kind {
            ask: self.body.ask,
            leaving: self.body.leaving,
        }
    }

    /// The beat, if the node has signed it and its token holds; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// See [`TokenError`]; [`TokenError::Signature`] also where the node has not signed.
    pub(super) fn check(self, key: &ClusterKey, now: u64) -> Result<RelayBeat, TokenError> {
        let node = token::verify(&self.body.token, &key.public_key(), now)?;
        node.key
            .verify(CONTEXT, self.signed, self.signature)
            .map_err(|_| TokenError::Signature)?;
        let public = self.body.public.iter().filter_map(|text| text.parse().ok());
        Ok(RelayBeat {
            node: node.id,
            name: node.name,
            instance: self.body.inst,
            public: public.take(RelayBeat::PUBLIC_MAX).collect(),
            trunk: self.body.trunk,
            draining: self.body.draining,
            load: self.body.load,
        })
    }
}

const CONTEXT: &str = "p2p/1 cluster beat";
const MAC_LEN: usize = 32;
/// Several times what a beat takes.
const BEAT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    const PLAIN: Kind = Kind {
        ask: false,
        leaving: false,
    };

    fn directory(key: &ClusterKey) -> Directory {
        let public = vec!["h:1".parse().unwrap()];
        let name = "one".parse().unwrap();
        let directory = Directory::new(key.clone(), Identity::generate(), name, public);
        directory.set_trunk(([127, 0, 0, 1], 7).into());
        directory
    }

    fn now() -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_secs()
    }

    #[test]
    fn a_beat_reads_back_in_its_cluster_only() {
        let key = ClusterKey::new(Identity::generate());
        let directory = directory(&key);
        let bytes = encode(&directory, (3, 5), PLAIN).unwrap();
        assert!(bytes.len() < BEAT_MAX / 2, "{}", bytes.len());
        let beat = decode(&bytes, &key).unwrap();
        assert_eq!((beat.number(), beat.at(), beat.kind()), (3, 5, PLAIN));
        let beat = beat.check(&key, now()).unwrap();
        assert_eq!(beat.node, directory.node());
        assert_eq!(beat.public, ["h:1".parse().unwrap()]);
        assert!(decode(&bytes, &ClusterKey::new(Identity::generate())).is_none());
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(decode(&changed, &key).is_none(), "byte {i}");
            assert!(decode(&bytes[..i], &key).is_none());
        }
        assert!(decode(&vec![0; BEAT_MAX + 1], &key).is_none());
    }

    #[test]
    fn a_relay_cannot_speak_for_another_node() {
        let key = ClusterKey::new(Identity::generate());
        let (one, other) = (directory(&key), directory(&key));
        let bytes = encode(&one, (1, 1), PLAIN).unwrap();
        // Signed by another node of the same cluster.
        let body = &bytes[MAC_LEN + SIGNATURE_LEN..];
        let signature = other.node_key().sign(CONTEXT, body);
        let mac = key.mac(CONTEXT, &[&signature, body]);
        let forged = [&mac[..], &signature, body].concat();
        let beat = decode(&forged, &key).unwrap();
        assert_eq!(beat.check(&key, now()), Err(TokenError::Signature));
        let beat = decode(&bytes, &key).unwrap();
        let later = now() + 25 * 3600;
        assert_eq!(beat.check(&key, later), Err(TokenError::Expired));
    }

    #[test]
    fn nothing_is_said_before_there_is_a_trunk_socket() {
        let key = ClusterKey::new(Identity::generate());
        let name = "one".parse().unwrap();
        let directory = Directory::new(key, Identity::generate(), name, Vec::new());
        assert!(encode(&directory, (1, 1), PLAIN).is_none());
    }
}
