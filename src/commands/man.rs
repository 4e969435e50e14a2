//! `p2p man`: manual pages.

use std::{io, path::Path};

use clap::CommandFactory;

use super::{CommandError, cli::Cli, output};
use crate::transfer::ErrorKind;

/// What the first page tells besides what `--help` does, in roff (man(7)).
const MORE: &str = r#".SH "EXIT STATUS"
.TS
r lx.
0	all done
1	anything that is none of the others
2	wrong usage
3	the relay is unreachable
4	not trusted: another key than the expected one, or a room that is not admitted
5	no such peer, or it is not listening
6	declined
7	a local file is missing, cannot be read or stored, or changed while it was sent
8	what arrived is not what was sent
9	some recipients failed, some succeeded
10	timed out
130, 143	interrupted by SIGINT, SIGTERM
.TE
.SH ENVIRONMENT
.TP
P2P_HOME, P2P_SERVER
as \-\-home and \-\-server.
.TP
NO_COLOR
any value but the empty one: no colour.
"#;

pub(super) fn run(out: Option<&Path>) -> Result<u8, CommandError> {
    let failed = |e| {
        CommandError::new(
            ErrorKind::LocalFile,
            format!("cannot write manual pages: {e}"),
        )
    };
    // `p2p help` needs no page.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match out {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            write_all(&command, folder).map_err(failed)?;
        }
        None => {
            let page = page(&command).map_err(failed)?;
            output::document(page.as_bytes())?;
        }
    }
    Ok(0)
}

/// Writes the page of a command and those of its subcommands: `p2p-room-new.1`.
fn write_all(command: &clap::Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    let real = |it: &&clap::Command| !it.is_hide_set() && it.get_name() != "help";
    command
        .get_subcommands()
        .filter(real)
        .try_for_each(|it| write_all(it, folder))
}

/// A page, of which the examples are a section, line by line as they are written.
fn page(command: &clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    let name = command.get_display_name().unwrap_or(command.get_name());
    clap_mangen::Man::new(command.clone())
        .title(name)
        .source(concat!("p2p ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    let mut page = page.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n", 1);
    if name == command.get_name() && name == "p2p" {
        // Tables are for a preprocessor, which man(1) runs where the first line says so.
        page = format!("'\\\" t\n{}\n.fi\n{MORE}", page.trim_end());
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command, with its full name, and all below it.
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands();
        let below = below.filter(|it| it.get_name() != "help").flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }

    #[test]
    fn every_command_shows_examples_and_groups_its_options() {
        let mut command = Cli::command();
        command.build();
        let commands = all(&command);
        assert!(commands.len() >= 19, "{}", commands.len());
        for mut command in commands {
            let name = command.get_display_name().unwrap_or("p2p").to_owned();
            let help = command.render_help().to_string();
            let examples = help.split_once("Examples:\n").map(|it| it.1.trim_start());
            let example = examples.unwrap_or_else(|| panic!("no examples for {name}"));
            let spoken = name.replace('-', " ");
            assert!(example.contains(&spoken), "{name}: {example}");
            assert!(help.contains("Global options:"), "{name}");
            let about = command.get_about().map(ToString::to_string);
            assert!(about.is_some_and(|it| !it.is_empty()), "{name}");
            for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name} {argument}");
            }
            let page = page(&command).unwrap();
            let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
            assert!(
                examples
                    .trim_start()
                    .starts_with(spoken.split(' ').next().unwrap())
                    || examples.contains(&spoken.replace('-', "\\-")),
                "{examples}"
            );
        }
    }

    #[test]
    fn every_page_is_written() {
        let folder = tempfile::tempdir().unwrap();
        run(Some(folder.path())).unwrap();
        for name in ["p2p", "p2p-send", "p2p-room-new", "p2p-trust-add"] {
            let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        }
    }
}
