//! `p2p completions`: a shell's completion script, which asks this program for peer names.

use std::{
    ffi::{OsStr, OsString},
    time::Duration,
};

use clap::CommandFactory;
use clap_complete::{ArgValueCompleter, CompletionCandidate, Shell, env::Shells};

use super::{
    CommandError,
    cli::{Cli, Global, When},
    context::Context,
    output,
};
use crate::{
    home::Rooms,
    identity::Invite,
    protocol::{Code, PeerId, PeerName, PeerState},
};

/// How long a person who has pressed Tab may be kept waiting for the relay.
const LIMIT: Duration = Duration::from_millis(700);

/// zsh runs the file once, when `p2p` is completed for the first time, as if it were the function
/// itself: without this, the first Tab would do nothing.
const ZSH_FIRST_CALL: &str = r#"
if [[ "${funcstack[1]}" == "_p2p" ]]; then
    _clap_dynamic_completer_p2p "$@"
fi
"#;

/// What bash is given as typed, and would have to be matched with a name, has backslashes before
/// what is special in it.
const BASH_TYPED: [&str; 2] = [
    r#"words[COMP_CWORD]="$2""#,
    r#"words[COMP_CWORD]="${2//\\/}""#,
];

/// Bash puts what is completed on the command line as it is, unless it knows it for a file's name:
/// the end of the function, without and with a line that tells it.
const BASH_END: [&str; 2] = [
    "\n}\n",
    r#"
    if [[ -e "${COMPREPLY[0]/#\~/$HOME}" ]]; then
        compopt -o filenames 2> /dev/null
    fi
}
"#,
];

pub(super) fn run(shell: Shell) -> Result<u8, CommandError> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| CommandError::usage(format!("no completions for {name}")))?;
    let command = Cli::command();
    let bin = command.get_name();
    let mut script = Vec::new();
    let failed = |e| CommandError::other(format!("cannot print the script: {e}"));
    completer
        .write_registration("COMPLETE", bin, bin, bin, &mut script)
        .map_err(failed)?;
    let mut script = String::from_utf8(script).map_err(|e| failed(std::io::Error::other(e)))?;
    match shell {
        Shell::Zsh => script.push_str(ZSH_FIRST_CALL),
        Shell::Bash => {
            for [from, to] in [BASH_TYPED, BASH_END] {
                script = script.replacen(from, to, 1);
            }
        }
        _ => {}
    }
    output::document(script.as_bytes())?;
    Ok(0)
}

/// The command line, with what this program can complete itself.
pub(super) fn command() -> clap::Command {
    let with = |arg: clap::Arg, complete: Complete| arg.add(ArgValueCompleter::new(complete));
    let name = move |c: clap::Command| c.mut_arg("name", |arg| with(arg, complete_known));
    Cli::command()
        .mut_arg("room", |arg| with(arg, complete_room))
        .mut_subcommand("send", |c| c.mut_arg("to", |arg| with(arg, complete_peer)))
        .mut_subcommand("rooms", |c| {
            c.mut_arg("default", |arg| with(arg, complete_room))
                .mut_arg("forget", |arg| with(arg, complete_room))
        })
        .mut_subcommand("trust", |c| {
            c.mut_subcommand("add", name).mut_subcommand("rm", name)
        })
}

/// Candidates for what is typed.
type Complete = fn(&OsStr) -> Vec<CompletionCandidate>;

/// Peers that begin with what is typed: known ones, and those who listen now.
///
/// Completion must be quick and silent, so everything that fails is just no candidate.
fn complete_peer(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = known();
    found.extend(present());
    candidates(&found, &typed.to_string_lossy())
}

/// Known names that begin with what is typed.
fn complete_known(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(&known(), &typed.to_string_lossy())
}

/// Names of rooms that begin with what is typed.
fn complete_room(typed: &OsStr) -> Vec<CompletionCandidate> {
    let context = Context::new(global());
    let rooms = context
        .home()
        .ok()
        .and_then(|home| Rooms::of(home).list().ok());
    let typed = typed.to_string_lossy();
    let rooms = rooms.into_iter().flatten();
    let named = rooms.map(|room| (room.name.to_string(), room.invite.place()));
    let begun = named.filter(|(name, _)| name.starts_with(&*typed));
    begun
        .map(|(name, relay)| CompletionCandidate::new(name).help(Some(relay.into())))
        .collect()
}

fn candidates(found: &[(PeerName, PeerId)], typed: &str) -> Vec<CompletionCandidate> {
    let mut words: Vec<_> = found
        .iter()
        .map(|(name, id)| {
            if is_plain(name.as_str()) {
                (name.to_string(), id.short())
            } else {
                (id.to_string(), name.to_string())
            }
        })
        .filter(|(word, _)| word.starts_with(typed))
        .collect();
    words.sort();
    words.dedup_by(|a, b| a.0 == b.0);
    let candidate =
        |(word, help): (String, String)| CompletionCandidate::new(word).help(Some(help.into()));
    words.into_iter().map(candidate).collect()
}

/// Whether a shell takes a word as it is. Some of them put candidates on the command line without
/// quotes, and a peer may call itself `$(…)`: such a one is completed by its ID.
fn is_plain(word: &str) -> bool {
    !word.starts_with('-')
        && word
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Who is known, without asking anyone.
fn known() -> Vec<(PeerName, PeerId)> {
    let Some((context, invite)) = room() else {
        return Vec::new();
    };
    let roster = context.known(&invite).ok().and_then(|it| it.load().ok());
    let peers = roster.iter().flat_map(|roster| roster.iter());
    peers.map(|peer| (peer.name.clone(), peer.id)).collect()
}

/// Who listens now, if the relay says so in time.
fn present() -> Vec<(PeerName, PeerId)> {
    let Some(member) = room().and_then(|(context, invite)| context.member_of(invite).ok()) else {
        return Vec::new();
    };
    let asking = async {
        let mut channel = member.enter(None).await.ok()?;
        let peers = channel.peers(false).await?;
        channel.close(Code::Done).await;
        Some(peers)
    };
    let context = Context::new(global());
    let asked = context.block_on(async { tokio::time::timeout(LIMIT, asking).await });
    let peers = asked.ok().and_then(Result::ok).flatten();
    let listening = peers
        .into_iter()
        .flatten()
        .filter(|peer| peer.state == PeerState::Listening);
    listening.map(|peer| (peer.name, peer.id)).collect()
}

/// The room that the command line is about; none where this machine has never been in one, and
/// asking would make it a key.
fn room() -> Option<(Context, Invite)> {
    let context = Context::new(global());
    let is_new = !context.home().ok()?.identity_key().exists();
    let invite = context.invite().ok()?;
    (!is_new).then_some((context, invite))
}

/// The global options as far as they are on the command line that is being completed.
fn global() -> Global {
    let words: Vec<_> = std::env::args_os().collect();
    let text = |word: OsString| word.into_string().ok();
    let home = option(&words, "--home").or_else(|| std::env::var_os("P2P_HOME"));
    let server = option(&words, "--server").or_else(|| std::env::var_os("P2P_SERVER"));
    Global {
        home: home.map(Into::into),
        room: option(&words, "--room")
            .and_then(text)
            .and_then(|name| name.parse().ok()),
        server: server.and_then(text).and_then(|text| text.parse().ok()),
        json: false,
        quiet: true,
        verbose: 0,
        color: When::Never,
        progress: When::Never,
    }
}

/// The value of an option, as a word of its own or behind `=`.
fn option(words: &[OsString], name: &str) -> Option<OsString> {
    let at = words.iter().position(|word| {
        let text = word.to_str();
        text.is_some_and(|text| text.split('=').next() == Some(name))
    })?;
    match words[at].to_str()?.split_once('=') {
        Some((_, value)) => Some(value.into()),
        None => words.get(at + 1).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_run_is_completed_by_its_id() {
        let id = PeerId::from_bytes([7; 32]);
        for name in [
            "$(reboot)",
            "a b",
            "x;y",
            "`id`",
            "-rf",
            "a*",
            "~",
            "a:b",
            "it's",
        ] {
            let found = [(name.parse().unwrap(), id)];
            let all = candidates(&found, "");
            assert_eq!(all.len(), 1, "{name}");
            assert_eq!(
                all[0].get_value().to_str(),
                Some(&*id.to_string()),
                "{name}"
            );
        }
        for name in ["alice", "nas-2.local", "日本", "Zoë_1"] {
            let found = [(name.parse().unwrap(), id)];
            let first: String = name.chars().take(1).collect();
            assert_eq!(
                candidates(&found, &first)[0].get_value().to_str(),
                Some(name)
            );
            assert!(candidates(&found, "x").is_empty());
        }
    }

    #[test]
    fn options_are_found_in_both_spellings() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let spelled = option(&words("p2p -- p2p --home /h send --to a"), "--home");
        assert_eq!(spelled, Some("/h".into()));
        assert_eq!(
            option(&words("p2p --home=/h=i"), "--home"),
            Some("/h=i".into())
        );
        assert_eq!(option(&words("p2p --homes /h"), "--home"), None);
        assert_eq!(option(&words("p2p --home"), "--home"), None);
    }
}
