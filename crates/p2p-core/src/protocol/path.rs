//! Names of files from the far end, parsed into types that cannot leave the target directory.
//!
//! The rules are the same on every platform and keep every platform safe: one component is one name,
//! nothing leads up, nothing is invisible. What only some systems cannot hold (`a:b`, `aux.c`, `a.`)
//! is sent as it is; the recipient replaces it where its own system needs that
//! ([`RelativePath::for_windows`]). Hidden names are refused only at the top of what is sent, where
//! they would land beside the recipient's own `.profile` or `.ssh`; inside a directory that is sent
//! they are its content (`.gitignore`). Names that begin with [`PRIVATE_PREFIX`] belong to this
//! program at every depth.

mod error;
mod link;
mod name;
mod replaced;
mod windows;

use std::{ffi::OsStr, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use error::{NameError, NameProblem};
pub use link::LinkTarget;
pub use name::{FileName, PRIVATE_PREFIX};

use name::{Level, check_component, utf8};

/// A path below a target directory: 1 to 64 components, each of which could be a [`FileName`]
/// (below the first, it may also be hidden). Its text separates them with `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelativePath(String);

impl RelativePath {
    /// The longest path, in bytes of UTF-8 with its separators (Linux's `PATH_MAX`).
    pub const MAX_BYTES: usize = 4096;
    /// The most components: bounds the directory handles and the recursion of whoever walks it.
    pub const MAX_COMPONENTS: usize = 64;

    /// The path as text, with `/` between components on every platform.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// How many components there are: at least one.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.parent_and_name().1
    }

    /// All but the last component; `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.parent_and_name().0
    }

    /// The path with another last component.
    ///
    /// # Errors
    /// As for parsing the result.
    pub fn with_file_name(&self, name: &str) -> Result<Self, NameError> {
        match self.parent() {
            None => Ok(Self::from(name.parse::<FileName>()?)),
            Some(parent) => Self(parent.to_owned()).child(OsStr::new(name)),
        }
    }

    /// The path of something in the directory that this path names.
    ///
    /// # Errors
    /// When `name` cannot be a component, or the result is too long or too deep.
    pub fn child(&self, name: &OsStr) -> Result<Self, NameError> {
        let name = utf8(name)?;
        check_component(name, Level::Inner)?;
        let path = format!("{}/{name}", self.0);
        check_extent(&path)?;
        Ok(Self(path))
    }

    /// The path under which a sender may send something, from the components that its own file
    /// system gives it.
    ///
    /// Nothing is mapped to another name, which [`RelativePath::top_replaced`] does: what every recipient
    /// would refuse is refused here, by the same rules, so that a person is told which file it is.
    ///
    /// # Errors
    /// [`NameError`] for the first component that cannot be sent.
    pub fn for_sending<'a>(
        components: impl IntoIterator<Item = &'a OsStr>,
    ) -> Result<Self, NameError> {
        let mut components = components.into_iter();
        let top = components.next().ok_or_else(|| NameProblem::Empty.of(""))?;
        let top = Self::from(utf8(top)?.parse::<FileName>()?);
        components.try_fold(top, |path, name| path.child(name))
    }

    fn parent_and_name(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, &self.0),
        }
    }
}

impl From<FileName> for RelativePath {
    fn from(name: FileName) -> Self {
        Self(name.0)
    }
}

impl FromStr for RelativePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_extent(text)?;
        let mut level = Level::Top;
        for component in text.split('/') {
            check_component(component, level)?;
            level = Level::Inner;
        }
        Ok(Self(text.to_owned()))
    }
}

/// Text in, text out: the same in JSON as on a screen.
macro_rules! is_text {
    ($($name:ident)*) => {
        $(
            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(self.as_str())
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{:?}", self.as_str())
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                }
            }
        )*
    };
}

is_text!(FileName RelativePath LinkTarget);

fn check_extent(path: &str) -> Result<(), NameError> {
    if path.len() > RelativePath::MAX_BYTES {
        return Err(NameProblem::TooLong.of(path));
    }
    if path.bytes().filter(|b| *b == b'/').count() >= RelativePath::MAX_COMPONENTS {
        return Err(NameProblem::TooDeep.of(path));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<NameProblem> {
        text.parse::<RelativePath>().err().map(|e| e.problem())
    }

    #[test]
    fn a_hostile_name_of_any_kind_is_refused_at_every_depth() {
        for (name, expected) in [
            ("", NameProblem::Empty),
            (".", NameProblem::Traversal),
            ("..", NameProblem::Traversal),
            ("a\0b", NameProblem::Unprintable),
            ("a\nb", NameProblem::Unprintable),
            ("\u{1b}[2J", NameProblem::Unprintable),
            ("\u{9b}2J", NameProblem::Unprintable),
            ("gpj.\u{202e}exe", NameProblem::Unprintable),
            ("a\u{200d}b", NameProblem::Unprintable),
            ("文\u{200d}\u{200d}", NameProblem::Unprintable),
            (".p2p-x", NameProblem::Private),
            (".P2P-0123.part", NameProblem::Private),
        ] {
            let inner = format!("dir/{name}");
            let middle = format!("dir/{name}/leaf");
            for path in [&inner, &middle] {
                assert_eq!(problem(path), Some(expected), "{path:?}");
            }
            assert!(name.parse::<FileName>().is_err(), "{name:?}");
            assert!(problem(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_path_is_relative() {
        assert_eq!(problem("/etc/passwd"), Some(NameProblem::Empty));
        assert_eq!(problem("a//b"), Some(NameProblem::Empty));
        assert_eq!(problem("a/"), Some(NameProblem::Empty));
        assert_eq!(problem("//host/share"), Some(NameProblem::Empty));
        assert_eq!(problem("a/../../b"), Some(NameProblem::Traversal));
    }

    #[test]
    fn hidden_names_are_content_of_a_tree_and_refused_above_it() {
        for name in [".bashrc", ".ssh/authorized_keys"] {
            assert_eq!(problem(name), Some(NameProblem::Hidden));
        }
        assert_eq!(problem("repo/.git/config"), None);
        assert_eq!(problem("repo/.gitignore"), None);
    }

    #[test]
    fn names_in_any_script_are_kept() {
        for name in [
            "Ünï cødé.txt",
            "文件.txt",
            "نامه\u{200c}ها.pdf",
            "क\u{94d}\u{200d}ष.txt",
            "👩\u{200d}👧.png",
            "Zoe\u{308}",
            "--rf",
            "a b",
            " a",
            "console.log",
            "com10",
            "auxiliary",
            "~",
            "❤\u{fe0f}.txt",
            "1\u{fe0f}\u{20e3}",
            // What other systems give a meaning.
            "a\\b",
            "\\\\host\\share",
            "x/..\\up",
            "C:\\windows",
            "file:stream",
            "CON",
            "aux.tar.gz",
            "a.",
            "a ",
        ] {
            assert_eq!(problem(name), None, "{name:?}");
            assert_eq!(name.parse::<RelativePath>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn lengths_are_bounded() {
        let longest = "x".repeat(FileName::MAX_BYTES);
        assert_eq!(problem(&longest), None);
        assert_eq!(problem(&format!("{longest}x")), Some(NameProblem::TooLong));
        let deepest = vec!["d"; RelativePath::MAX_COMPONENTS].join("/");
        assert_eq!(problem(&deepest), None);
        assert_eq!(problem(&format!("{deepest}/d")), Some(NameProblem::TooDeep));
        let long = vec![longest.as_str(); 17].join("/");
        assert_eq!(problem(&long), Some(NameProblem::TooLong));
        assert!(long.parse::<RelativePath>().unwrap_err().name().len() < 500);
    }

    #[test]
    fn a_sender_is_told_which_name_cannot_be_sent() {
        let path = RelativePath::for_sending(["a", ".b", "c"].map(OsStr::new)).unwrap();
        assert_eq!(path.as_str(), "a/.b/c");
        assert_eq!(path.file_name(), "c");
        assert_eq!(path.parent(), Some("a/.b"));
        let error = RelativePath::for_sending(["a", "b\u{1b}/"].map(OsStr::new)).unwrap_err();
        assert_eq!(error.to_string(), r#""b\u{1b}/" contains a path separator"#);
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            let error = RelativePath::for_sending([OsStr::from_bytes(b"Gr\xfcn")]).unwrap_err();
            assert_eq!(error.to_string(), r#""Gr\xfcn" is not UTF-8"#);
        }
    }

    #[test]
    fn json_holds_a_path_as_text_and_reads_nothing_hostile() {
        let path: RelativePath = "a/b".parse().unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), r#""a/b""#);
        assert_eq!(
            serde_json::from_str::<RelativePath>(r#""a\/b""#).unwrap(),
            path
        );
        assert!(serde_json::from_str::<RelativePath>(r#""a/../b""#).is_err());
        assert!(serde_json::from_str::<FileName>(r#""a/b""#).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_parses_never_leaves_the_directory(text in r"[a.:/\\~ \x00-\x1f]{0,12}") {
            if let Ok(path) = text.parse::<RelativePath>() {
                let here = path.as_str();
                let held = path.for_windows().unwrap().into_owned();
                for (path, separators) in [(here, &['/'][..]), (held.as_str(), &['/', '\\', ':'])] {
                    let only_down = path.split(separators)
                        .all(|name| !matches!(name, "" | "." | ".."));
                    assert!(only_down, "{text:?}");
                }
                assert_eq!(held.depth(), held.as_str().split(['/', '\\']).count());
            }
        }
    }
}
