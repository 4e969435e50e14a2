//! A relay as part of a cluster.

use std::net::SocketAddr;

use super::address::{BIND, outward};
use crate::{
    cluster::{
        ClusterKey, Directory, NodeName,
        nats::{Discovery, NatsServers},
    },
    commands::{CommandError, cli::ServerSettings},
    home::{Home, load_or_create_identity},
    identity::{DEFAULT_PORT, HostPort},
    relay::ClusterConfig,
};

/// How this relay finds the others, and they it.
pub(super) struct Cluster {
    pub(super) directory: Directory,
    servers: NatsServers,
    bind: SocketAddr,
}

impl Cluster {
    /// The cluster of these settings; nothing where the relay is alone.
    pub(super) fn open(
        home: &Home,
        settings: &ServerSettings,
    ) -> Result<Option<Self>, CommandError> {
        let Some(servers) = check(settings)? else {
            return Ok(None);
        };
        let path = settings.cluster_key.as_ref().ok_or_else(no_key)?;
        let key = load_or_create_identity(path)
            .map_err(|e| CommandError::other(format!("no cluster key: {e}")))?;
        let node = load_or_create_identity(&home.relay().join("node.pem"))
            .map_err(|e| CommandError::other(format!("no node key: {e}")))?;
        let directory = Directory::new(ClusterKey::new(key), node, name(settings)?, Vec::new());
        let at = settings.bind.unwrap_or(BIND);
        let bind = settings.trunk.unwrap_or_else(|| match at.port() {
            0 => at,
            port => SocketAddr::new(at.ip(), port.checked_add(1).unwrap_or(DEFAULT_PORT)),
        });
        Ok(Some(Self {
            directory,
            servers,
            bind,
        }))
    }

    /// Begins to find the others, and to be found by them.
    pub(super) fn start(self, public: HostPort) -> Result<Discovery, CommandError> {
        self.directory.set_public(vec![public]);
        Discovery::start(self.directory, self.servers)
            .map_err(|e| CommandError::other(format!("no discovery of other relays: {e}")))
    }

    /// What the relay is told of it.
    pub(super) fn config(&self) -> ClusterConfig {
        let wild = self.bind.ip().is_unspecified();
        ClusterConfig {
            directory: self.directory.clone(),
            bind: self.bind,
            // The others find it on the way that this machine takes to them.
            public: wild.then(|| SocketAddr::new(outward(), 0)),
        }
    }
}

/// The NATS servers of these settings, where they name a cluster, and all of it is right.
pub(super) fn check(settings: &ServerSettings) -> Result<Option<NatsServers>, CommandError> {
    let Some(url) = &settings.cluster else {
        return match settings.cluster_key.is_some() || settings.trunk.is_some() {
            true => Err(CommandError::usage(
                "a cluster key or trunk address is given, and no cluster (--cluster URL)",
            )),
            false => Ok(None),
        };
    };
    let servers: NatsServers = url
        .parse()
        .map_err(|e| CommandError::usage(format!("cluster: {e}")))?;
    if settings.cluster_key.is_none() {
        return Err(no_key());
    }
    name(settings)?;
    Ok(Some(servers.with_tls_from_env()))
}

fn no_key() -> CommandError {
    CommandError::usage("--cluster needs --cluster-key FILE")
        .hint("the same file on every relay of the cluster; the first one that starts makes it")
}

/// What this relay is called.
fn name(settings: &ServerSettings) -> Result<NodeName, CommandError> {
    if let Some(name) = &settings.node {
        return Ok(name.clone());
    }
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    host.parse()
        .map_err(|e| CommandError::usage(format!("the host's name is {host:?}: {e} (--node NAME)")))
}
