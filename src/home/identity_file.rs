//! The file of my private key: PKCS#8 in PEM, mode 0600.

use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ED25519};
use zeroize::{Zeroize, Zeroizing};

use super::private_file::{self, PrivateFileError};
use crate::identity::Identity;

/// Why there is no identity to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The key file holds no Ed25519 private key. It is kept: what it was may matter to its owner.
    #[error("{} holds no Ed25519 private key in PKCS#8 PEM", path.display())]
    Corrupt {
        /// The key file.
        path: PathBuf,
    },
    /// The key file was there and then was not.
    #[error("{} was removed while it was read", path.display())]
    Vanished {
        /// The key file.
        path: PathBuf,
    },
}

/// Reads the key at `path`, or makes one there on first use (mode 0600).
///
/// Blocks on the disk. Two processes that make one at the same moment end up with the same.
///
/// # Errors
/// A key file that is empty, corrupt, or open to others is refused, never replaced.
pub fn load_or_create_identity(path: &Path) -> Result<Identity, IdentityError> {
    if let Some(pem) = private_file::read(path, KEY_FILE_MAX)? {
        return from_pem(&pem, path);
    }
    let fresh = Identity::generate();
    if private_file::create(path, to_pem(&fresh).as_bytes())? {
        return Ok(fresh);
    }
    let pem = private_file::read(path, KEY_FILE_MAX)?.ok_or_else(|| IdentityError::Vanished {
        path: path.to_owned(),
    })?;
    from_pem(&pem, path)
}

fn from_pem(pem: &str, path: &Path) -> Result<Identity, IdentityError> {
    let corrupt = || IdentityError::Corrupt {
        path: path.to_owned(),
    };
    let mut pair =
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ED25519).map_err(|_| corrupt())?;
    let identity = Identity::from_pkcs8(pair.serialized_der());
    pair.zeroize();
    identity.ok_or_else(corrupt)
}

fn to_pem(identity: &Identity) -> Zeroizing<String> {
    let der = identity.pkcs8().as_slice().into();
    let mut pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
        .expect("a key that was made or read before");
    let pem = Zeroizing::new(pair.serialize_pem());
    pair.zeroize();
    pem
}

/// An Ed25519 key takes 119 bytes in PEM; text around it is allowed (RFC 7468, section 2).
const KEY_FILE_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::protocol::PeerId;

    #[test]
    fn an_identity_reads_back_as_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let made = load_or_create_identity(&path).unwrap();
        let read = load_or_create_identity(&path).unwrap();
        assert_eq!(made.id(), read.id());
        assert!(fs::read_to_string(&path).unwrap().contains("PRIVATE KEY"));
    }

    #[test]
    fn processes_that_start_together_share_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let ids: Vec<PeerId> = thread::scope(|scope| {
            let make = || scope.spawn(|| load_or_create_identity(&path).unwrap().id());
            let threads: Vec<_> = (0..8).map(|_| make()).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let good = to_pem(&Identity::generate());
        let p256 = KeyPair::generate().unwrap().serialize_pem();
        let torn = &good[..good.len() / 2];
        for bad in ["", "\n", "hello", torn, &p256] {
            private_file::replace(&path, bad.as_bytes()).unwrap();
            let error = load_or_create_identity(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Corrupt { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_key_file_that_others_may_read_is_refused_and_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.pem");
        let id = load_or_create_identity(&path).unwrap().id();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            load_or_create_identity(&path),
            Err(IdentityError::File(PrivateFileError::Exposed {
                mode: 0o640,
                ..
            }))
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load_or_create_identity(&path).unwrap().id(), id);
    }
}
