//! A command line that cannot be understood: what is wrong with it, without the secrets in it.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::error::ErrorKind;

use super::error::{CommandError, USAGE};
use crate::display::Stage;

/// Prints what the parser has to say: help and version, or an error.
pub(super) fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush());
        return match printed.map_err(CommandError::output) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error.explain(&Stage::default(), "p2p");
                ExitCode::from(error.exit_code())
            }
        };
    }
    let plain = error.render().to_string();
    let scrubbed = scrub(&plain);
    let _ = if scrubbed == plain {
        error.print()
    } else {
        io::stderr().write_all(scrubbed.as_bytes())
    };
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(line) = with_recipient(&std::env::args_os().skip(1).collect::<Vec<_>>())
    {
        eprintln!("{}", recipient_hint(&line));
    }
    ExitCode::from(USAGE)
}

/// Takes the room secret out of every invite that the parser repeats, however it was mistyped.
fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, part) in text.split('#').enumerate() {
        if i == 0 {
            out.push_str(part);
            continue;
        }
        let is_secret = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let rest = part.trim_start_matches(is_secret);
        out.push('#');
        match part.len() - rest.len() {
            SECRET_LEAST.. => out.push('…'),
            _ => out.push_str(&part[..part.len() - rest.len()]),
        }
        out.push_str(rest);
    }
    out
}

/// A word behind `#` that is shorter than this is no secret worth the name.
const SECRET_LEAST: usize = 8;

pub(super) fn recipient_hint(line: &str) -> String {
    format!("hint: a recipient is named with --to: {line}")
}

/// `p2p send alice f`, with the name where it belongs.
fn with_recipient(words: &[OsString]) -> Option<String> {
    let words: Vec<_> = words
        .iter()
        .map(|word| word.to_str())
        .collect::<Option<_>>()?;
    let send = words.iter().position(|word| *word == "send")?;
    if words.iter().any(|word| word.starts_with("--to")) {
        return None;
    }
    let at = send
        + 1
        + words[send + 1..]
            .iter()
            .position(|word| !word.starts_with('-'))?;
    // The first of several is a name, if it is no file.
    let name = words[at];
    if at + 1 == words.len() || Path::new(name).exists() {
        return None;
    }
    let quoted = |words: &[&str]| shell_words::join(words);
    let rest = [&words[send + 1..at], &words[at + 1..]].concat();
    Some(format!(
        "p2p send --to {} {}",
        quoted(&[name]),
        quoted(&rest)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_repeated() {
        let text = "invalid value 'p2p://host:1/abc#l4vdgt-2ubsrqc74pqxvkbjgwoufc' for '#1'";
        assert_eq!(scrub(text), "invalid value 'p2p://host:1/abc#…' for '#1'");
        assert_eq!(scrub("p2p:/x#abcdefghijkl#mnopqrstuvwx"), "p2p:/x#…#…");
    }

    #[test]
    fn a_forgotten_to_is_put_where_it_belongs() {
        let hint =
            |line: &str| with_recipient(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            hint("send alice f").as_deref(),
            Some("p2p send --to alice f")
        );
        assert_eq!(
            hint("--json send -n alice f"),
            Some("p2p send --to alice -n f".into())
        );
        assert_eq!(hint("send --to alice"), None);
        assert_eq!(hint("send Cargo.toml x"), None);
        assert_eq!(hint("send alice"), None);
    }
}
