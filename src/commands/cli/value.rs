//! Values of options that are more than a word or a number.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::identity::{Invite, InviteError};

/// An invite as somebody typed it. It is read later: what the parser of the command line says
/// about a value repeats it, and this one is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteText(String);

impl InviteText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.trim()
    }

    /// The invite.
    ///
    /// # Errors
    /// When it is none; the reason says nothing of the secret.
    pub fn parse(&self) -> Result<Invite, InviteError> {
        self.0.parse()
    }
}

impl FromStr for InviteText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for InviteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteText(..)")
    }
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(pub Vec<String>);

/// Takes any path, also the empty one: a variable that is set to nothing is not set.
pub(super) fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Reads a size: digits with `k M G` (powers of 1000) or `Ki Mi Gi` (of 1024).
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    // The library takes a lone `k` for 1000 as well, but wants the `B` behind `Ki`.
    let text = text.trim();
    let full = if text.ends_with(['i', 'I']) {
        format!("{text}B")
    } else {
        text.to_owned()
    };
    parse_size::Config::new()
        .with_decimal()
        .parse_size(full)
        .map_err(|e| format!("{e}; for example 500k, 20M, 4Gi"))
}

/// Reads bytes a second: a size, with or without `/s`.
pub(super) fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text.trim().trim_end_matches("/s"))? {
        0 => Err("a rate is above 0".to_owned()),
        rate => Ok(rate),
    }
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|e| format!("{e}; for example 10s, 5m"))
}

pub(super) fn parse_command(text: &str) -> Result<CommandLine, String> {
    let words = shell_words::split(text).map_err(|e| e.to_string())?;
    if words.is_empty() {
        Err("a program is needed".to_owned())
    } else {
        Ok(CommandLine(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_documented() {
        for (text, bytes) in [
            ("0", 0),
            ("10", 10),
            ("10k", 10_000),
            ("2M", 2_000_000),
            ("1G", 1_000_000_000),
            ("4Ki", 4096),
            ("3Mi", 3 << 20),
            ("1Gi", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_rate("40M/s"), Ok(40_000_000));
        assert!(parse_size("lots").is_err() && parse_rate("0").is_err());
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }
}
