//! The invite that was saved by `p2p join`.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::private_file::{self, PrivateFileError};
use crate::identity::{Invite, InviteError};

/// Why a saved invite cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InviteFileError {
    /// The file cannot be read or written, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file holds no invite.
    #[error("{} holds no invite", path.display())]
    Invite {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: InviteError,
    },
}

/// Saves the invite in a private file (mode 0600), in the place of an earlier one.
///
/// # Errors
/// When it cannot be written.
pub fn save_invite(invite: &Invite, path: &Path) -> Result<(), InviteFileError> {
    let line = Zeroizing::new(format!("{invite}\n"));
    Ok(private_file::replace(path, line.as_bytes())?)
}

/// Reads a saved invite; `None` when none is saved.
///
/// # Errors
/// A file that others may read, or that holds no invite, is refused.
pub fn load_invite(path: &Path) -> Result<Option<Invite>, InviteFileError> {
    let Some(text) = private_file::read(path, INVITE_FILE_MAX)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(invite) => Ok(Some(invite)),
        Err(source) => Err(InviteFileError::Invite {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A host name of 253 characters, a fingerprint and a secret, with room for dashes.
const INVITE_FILE_MAX: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::RoomSecret, protocol::PeerId};

    fn invite() -> Invite {
        Invite::new(
            "[::1]:99".parse().unwrap(),
            PeerId::from_bytes([7; 32]),
            RoomSecret::from_bytes([9; 16]),
        )
    }

    #[test]
    fn a_saved_invite_reads_back_and_an_exposed_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("invite");
        assert!(load_invite(&path).unwrap().is_none());
        save_invite(&invite(), &path).unwrap();
        assert_eq!(load_invite(&path).unwrap(), Some(invite()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(
                load_invite(&path),
                Err(InviteFileError::File(PrivateFileError::Exposed { .. }))
            ));
        }
        private_file::replace(&path, b"nonsense").unwrap();
        let error = load_invite(&path).unwrap_err();
        assert!(matches!(error, InviteFileError::Invite { .. }));
    }
}
