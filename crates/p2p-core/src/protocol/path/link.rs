//! Where a symbolic link points.

use std::{ffi::OsStr, str::FromStr};

use super::{Level, NameError, NameProblem, RelativePath, check_component, check_extent, utf8};

/// Where a symbolic link points: some steps up, then a path down; relative always.
///
/// Steps up come first or not at all. A target such as `a/../../b` would lead wherever `a`, itself
/// a link, leads, so that two links, each harmless by its text, could leave the tree together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LinkTarget {
    text: String,
    up: usize,
}

impl LinkTarget {
    /// The target as text, with `/` between components on every platform.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The target that a sender's link has, if a recipient may be given it.
    ///
    /// # Errors
    /// [`NameError`] when it is absolute, leaves the tree, or has a part that cannot be sent.
    pub fn for_sending(link: &RelativePath, target: &OsStr) -> Result<Self, NameError> {
        utf8(target)?.parse::<Self>()?.inside(link)
    }

    /// The target, if a link of this path that has it stays within the tree: below the path's
    /// first component, however the links of the tree are chained.
    ///
    /// # Errors
    /// [`NameProblem::Outside`].
    pub fn inside(self, link: &RelativePath) -> Result<Self, NameError> {
        // A link at the top is its own tree: there is nothing in it to point to.
        match link.depth().checked_sub(2) {
            Some(steps) if self.up <= steps => Ok(self),
            _ => Err(NameProblem::Outside.of(&self.text)),
        }
    }
}

impl FromStr for LinkTarget {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameProblem::Empty.of(text));
        }
        if text.starts_with('/') {
            return Err(NameProblem::Outside.of(text));
        }
        check_extent(text)?;
        let mut up = 0;
        let mut down = false;
        // `./a`, `a//b` and `a/` mean what they mean without the idle parts.
        for component in text.split('/').filter(|c| !matches!(*c, "" | ".")) {
            if component != ".." {
                // A recipient whose system takes it for a separator must not be led anywhere by it.
                if component.contains('\\') {
                    return Err(NameProblem::Separator.of(text));
                }
                check_component(component, Level::Inner)?;
                down = true;
            } else if down {
                return Err(NameProblem::Outside.of(text));
            } else {
                up += 1;
            }
        }
        Ok(Self {
            text: text.to_owned(),
            up,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_in_its_tree() {
        let inside = |link: &str, target: &str| {
            LinkTarget::for_sending(&link.parse().unwrap(), OsStr::new(target)).is_ok()
        };
        for (link, target) in [
            ("t/l", "a"),
            ("t/l", "./a/b"),
            ("t/l", "."),
            ("t/d/l", "../a"),
            ("t/d/l", ".."),
            ("t/d/e/l", "../../.hidden"),
            ("t/l", "Foo::Bar.3pm"),
        ] {
            assert!(inside(link, target), "{link} -> {target}");
        }
        for (link, target) in [
            ("l", "a"),
            ("l", "."),
            ("t/l", ""),
            ("t/l", ".."),
            ("t/l", "../other"),
            ("t/l", "/etc/passwd"),
            ("t/l", "//host/share"),
            ("t/l", "C:\\"),
            ("t/d/l", "../../x"),
            ("t/d/l", "a/.."),
            ("t/d/l", "a/../../../x"),
            ("t/d/l", "..\\..\\x"),
            ("t/d/l", "a\0b"),
        ] {
            assert!(!inside(link, target), "{link} -> {target}");
        }
    }
}
