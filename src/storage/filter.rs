//! What is left out of what is sent.

use std::{
    collections::HashSet,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::os;

/// What is left out of what is sent, by the rules of `gitignore`(5).
///
/// The rules hold from each root on, as if it were the root of a repository: `/target` is what is
/// directly in it, `node_modules/` a directory at any depth, `!keep` an exception to what came
/// before. They also see a root by its own name, so that `photos/raw` means the same from outside.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Option<Arc<Gitignore>>,
    gitignore: bool,
    own: Arc<[PathBuf]>,
    modes: bool,
    strict_names: bool,
}

/// Why rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Text that is no pattern.
    #[error("{pattern:?} is not a pattern: {reason}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of patterns that cannot be read.
    #[error("cannot read the patterns in {path:?}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Filter {
    /// Leaves out what the patterns say: first those in `files`, one a line, then `patterns`; the
    /// last that matches decides.
    ///
    /// # Errors
    /// A file that cannot be read, or text that is no pattern.
    pub fn new(patterns: &[String], files: &[PathBuf]) -> Result<Self, FilterError> {
        let mut builder = GitignoreBuilder::new("");
        // What git takes for an ordinary character is a typing error here.
        builder.allow_unclosed_class(false);
        for path in files {
            let text = read_patterns(path, true).map_err(|source| FilterError::File {
                path: path.clone(),
                source,
            })?;
            for line in text.lines() {
                add(&mut builder, line)?;
            }
        }
        for pattern in patterns {
            add(&mut builder, pattern)?;
        }
        let rules = builder.build().map_err(|error| FilterError::Pattern {
            pattern: String::new(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            rules: (!rules.is_empty()).then(|| Arc::new(rules)),
            ..Self::default()
        })
    }

    /// Leaves out what `git` ignores as well: by the `.gitignore` files of what is sent, those above
    /// it in its repository, and the repository's `info/exclude`.
    #[must_use]
    pub fn with_gitignore(mut self) -> Self {
        self.gitignore = true;
        self
    }

    /// Sends permission bits as well, which are left out otherwise, but for whether a file may be
    /// executed.
    #[must_use]
    pub fn with_modes(mut self) -> Self {
        self.modes = true;
        self
    }

    /// Refuses names that would have to be changed to be sent.
    #[must_use]
    pub fn with_strict_names(mut self) -> Self {
        self.strict_names = true;
        self
    }

    pub(super) fn replaces_names(&self) -> bool {
        !self.strict_names
    }

    pub(super) fn sends_modes(&self) -> bool {
        self.modes
    }

    /// Leaves these out wherever they are found, such as the keys of this program.
    #[must_use]
    pub fn without(mut self, own: impl IntoIterator<Item = PathBuf>) -> Self {
        self.own = own
            .into_iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        self
    }

    /// Those of the paths of [`Filter::without`] that are below these roots and will be missing.
    #[must_use]
    pub fn own_below(&self, roots: &[PathBuf]) -> Vec<PathBuf> {
        let canonical = roots.iter().filter_map(|root| root.canonicalize().ok());
        let roots: Vec<PathBuf> = canonical.collect();
        let own = self.own.iter();
        own.filter(|own| roots.iter().any(|root| own.starts_with(root)))
            .cloned()
            .collect()
    }

    /// Whether a path leads to, or into, one of those of [`Filter::without`].
    pub(super) fn is_own(&self, path: &Path) -> bool {
        let path = path.canonicalize();
        path.is_ok_and(|path| self.own.iter().any(|own| path.starts_with(own)))
    }

    /// The filter as it is used on the way through one root, which is sent under `name`.
    pub(super) fn walk(&self, root: &Path, name: &str) -> FilterWalk {
        let canonical = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let below = |own: &PathBuf| Some(own.strip_prefix(&canonical).ok()?.to_owned());
        FilterWalk {
            rules: self.rules.clone(),
            name: name.into(),
            own: self.own.iter().filter_map(below).collect(),
            ignored: match self.gitignore {
                true => above(&canonical),
                false => Vec::new(),
            },
            gitignore: self.gitignore,
            root: root.to_owned(),
        }
    }
}

/// A filter on its way through one root.
#[derive(Debug)]
pub(super) struct FilterWalk {
    rules: Option<Arc<Gitignore>>,
    name: PathBuf,
    own: HashSet<PathBuf>,
    gitignore: bool,
    root: PathBuf,
    /// The rules of the directories that the walk is in, each with its depth and where it is.
    ignored: Vec<Ignored>,
}

/// What one directory says that git ignores below it.
#[derive(Debug)]
struct Ignored {
    /// How deep below the root it is; `None` above.
    depth: Option<usize>,
    /// Where paths that its rules are about begin: below the root, or the root below it.
    at: At,
    rules: Gitignore,
}

#[derive(Debug)]
enum At {
    /// The directory is this far below the root.
    Below(PathBuf),
    /// The root is this far below the directory.
    Above(PathBuf),
}

impl FilterWalk {
    /// Whether something is left out: `below` is its path below the root, empty for the root.
    pub(super) fn leaves_out(&mut self, below: &Path, depth: usize, is_dir: bool) -> bool {
        if self.own.contains(below) {
            return true;
        }
        match self.by_rules(below, is_dir) {
            Match::Ignore(()) => return true,
            Match::Whitelist(()) => {}
            Match::None if self.by_git(below, depth, is_dir) => return true,
            Match::None => {}
        }
        if self.gitignore && is_dir {
            let rules = rules_in(&self.root.join(below).join(".gitignore"));
            self.ignored.extend(rules.map(|rules| Ignored {
                depth: Some(depth),
                at: At::Below(below.to_owned()),
                rules,
            }));
        }
        false
    }

    fn by_rules(&self, below: &Path, is_dir: bool) -> Match<()> {
        let Some(rules) = &self.rules else {
            return Match::None;
        };
        let found = match below.as_os_str().is_empty() {
            true => rules.matched(&self.name, is_dir),
            false => rules
                .matched(below, is_dir)
                .or(rules.matched(self.name.join(below), is_dir)),
        };
        found.map(|_| ())
    }

    fn by_git(&mut self, below: &Path, depth: usize, is_dir: bool) -> bool {
        // Directories that the walk has left.
        while self
            .ignored
            .last()
            .is_some_and(|last| last.depth.is_some_and(|last| last >= depth))
        {
            self.ignored.pop();
        }
        for ignored in self.ignored.iter().rev() {
            let found = match &ignored.at {
                At::Above(between) => ignored.rules.matched(between.join(below), is_dir),
                At::Below(at) => match below.strip_prefix(at) {
                    Ok(path) if !path.as_os_str().is_empty() => ignored.rules.matched(path, is_dir),
                    _ => continue,
                },
            };
            match found {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}

/// The rules above a root that is in a repository, the topmost first.
fn above(root: &Path) -> Vec<Ignored> {
    let Some(top) = root.ancestors().find(|at| at.join(".git").exists()) else {
        return Vec::new();
    };
    let between = |at: &Path| root.strip_prefix(at).unwrap_or(root).to_owned();
    let mut found: Vec<Ignored> = root
        .ancestors()
        .skip(1)
        .take_while(|at| at.starts_with(top))
        .map(|at| (at, at.join(".gitignore")))
        .chain([(top, top.join(".git/info/exclude"))])
        .filter_map(|(at, file)| {
            Some(Ignored {
                depth: None,
                at: At::Above(between(at)),
                rules: rules_in(&file)?,
            })
        })
        .collect();
    found.reverse();
    found
}

/// The rules in a file, if it is there; a line that is no pattern is passed over, as git does.
fn rules_in(file: &Path) -> Option<Gitignore> {
    let text = read_patterns(file, false).ok()?;
    let mut builder = GitignoreBuilder::new("");
    for line in text.lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

fn add(builder: &mut GitignoreBuilder, pattern: &str) -> Result<(), FilterError> {
    match builder.add_line(None, pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(FilterError::Pattern {
            pattern: pattern.to_owned(),
            reason: match error {
                ignore::Error::Glob { err, .. } => err,
                other => other.to_string(),
            },
        }),
    }
}

/// Never waits: what is found in a tree may be a pipe. What a person names may be one, too.
fn read_patterns(path: &Path, named: bool) -> io::Result<String> {
    let file = match named {
        true => std::fs::File::open(path)?,
        false => os::open_by_path(path, true)?,
    };
    if !named && !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    file.take(PATTERNS_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The most bytes of patterns that are read from one file.
const PATTERNS_MAX: u64 = 1024 * 1024;
