//! `p2p man`: manual pages.

use std::path::Path;

use clap::CommandFactory;

use super::{CommandError, cli::Cli};
use crate::transfer::FailureKind;

pub(super) fn run(out: Option<&Path>) -> Result<u8, CommandError> {
    let failed = |e| {
        CommandError::new(
            FailureKind::LocalFile,
            format!("cannot write manual pages: {e}"),
        )
    };
    match out {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
        }
        None => clap_mangen::Man::new(Cli::command())
            .render(&mut std::io::stdout())
            .map_err(failed)?,
    }
    Ok(0)
}
